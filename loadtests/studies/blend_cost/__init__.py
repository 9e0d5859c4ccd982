"""The cost of a blend's response, beside its components alone and one larger model."""
