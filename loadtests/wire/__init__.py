"""Both ends of the wire, each a process of its own: a simulated upstream and a load generator."""
