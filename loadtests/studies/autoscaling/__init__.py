"""Two autoscaling policies on the same recorded day, in simulation and on a real Ray Serve."""
