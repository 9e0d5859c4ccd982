"""Blended: several chat models of moderate size answer one conversation together."""

__version__ = "0.1.0"
