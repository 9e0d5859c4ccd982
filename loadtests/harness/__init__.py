"""What studies and load tests share: start and stop, the wire, provenance, figures."""
