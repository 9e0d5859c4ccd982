"""What a request costs: Blended beside the bare component and its peers, on one machine.

`make bench`, or `python -m loadtests.bench --help` from the root of the repository.
"""
