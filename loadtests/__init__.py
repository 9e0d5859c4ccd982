"""Load tests and studies of costs: run from the root of the repository, not installed."""
