"""Whether plans are right: `python -m loadtests.verification`."""
