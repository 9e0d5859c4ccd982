"""Reads the state of a running cluster on which manifests and their changes depend."""
