"""What a cluster has, as far as manifests and their changes depend on it."""
