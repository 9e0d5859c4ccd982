"""Two autoscaling policies on the same recorded day, on paper and on a real Ray Serve."""
