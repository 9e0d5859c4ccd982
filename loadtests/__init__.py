"""Load, and what it costs: run from the root of the repository, not installed."""
