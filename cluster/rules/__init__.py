"""What manifests have to be: by Kubernetes, KubeRay and Ray Serve, and by each other."""
