"""What a response of a blend costs, beside its components alone and one larger model."""
