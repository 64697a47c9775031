"""The classifier that is explained, its judge, their networks, checks and training."""
