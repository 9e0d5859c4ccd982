"""What loadtests/chat.py is made of: who talks, when they come, and what is measured of them.

Needs no more than Locust does, but for YAML and Parquet files.
"""
