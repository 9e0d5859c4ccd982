"""Whether plans are right: `python -m loadtests.studies.plans`."""
