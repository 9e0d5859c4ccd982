"""How often the statistics of experiments err, counted on simulated experiments."""

from pathlib import Path

SAVED = Path(__file__).parents[2] / "results" / "calibration.json"
