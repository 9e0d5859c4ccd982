"""How throughput grows with replicas: measured on this machine, and carried on in a simulation."""
