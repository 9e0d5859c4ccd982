"""The cost of a request: Blended beside the bare component and its peers, on one machine.

`make bench`, or `python -m loadtests.studies.router_overhead --help` from the repository's root.
"""
