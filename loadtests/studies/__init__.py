"""The studies behind the figures of this project: each a program that prints its result as JSON."""
