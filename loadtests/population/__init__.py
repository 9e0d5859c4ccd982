"""Simulated users to rehearse experiments on: `python -m loadtests.population --help`."""
