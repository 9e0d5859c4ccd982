"""The parts of loadtests/chat.py: users, arrivals, load shapes, and figures.

Needs only what Locust needs, except for YAML and Parquet files.
"""
