"""A seeded fuzzer of a running blend over real sockets: bodies, headers, broken connections."""
