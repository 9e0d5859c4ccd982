"""The rules of Kubernetes, KubeRay and Ray Serve for manifests, and rules between manifests."""
