"""Pictures of boxes and arrows: the way of a request, and what an edit does."""
