"""Simulated conversations for what is learned from draws: `loadtests.studies.learning --help`."""
