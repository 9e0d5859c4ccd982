"""The report of a load test: `python -m loadtests.report RESULT --html FILE`."""
