"""Tests plans against measurements: `python -m loadtests.studies.plans`."""
