"""A load test to look at: `python -m loadtests.report RESULT --html FILE`."""
