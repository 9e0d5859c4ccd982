"""Shared by studies and load tests: start and stop, load generator, provenance, figures."""
