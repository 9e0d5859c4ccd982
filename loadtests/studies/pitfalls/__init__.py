"""Experiments that mislead: journals with a planted trap, and what the report makes of them."""

from pathlib import Path

SAVED = Path(__file__).parents[2] / "results" / "pitfalls.json"
