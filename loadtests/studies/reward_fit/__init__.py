"""Simulated retries for the reward model: `loadtests.studies.reward_fit --help`."""
