"""Untrained image priors, a network per query."""
