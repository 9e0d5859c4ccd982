"""Policies on simulated messages, and on simulated users of a real API."""
