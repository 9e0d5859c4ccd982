"""Blended: several chat models of moderate size that answer one conversation together."""

__version__ = "0.1.0"
