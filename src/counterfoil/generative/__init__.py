"""Generative models that methods search in, each with its training."""
