"""Experiments that mislead: journals with a planted trap, and what the report makes of them."""
