"""How many replicas a blend takes: profiles of one replica, and the plan that follows."""
