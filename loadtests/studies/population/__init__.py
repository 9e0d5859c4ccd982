"""Simulated users to rehearse experiments on: `python -m loadtests.studies.population --help`."""
