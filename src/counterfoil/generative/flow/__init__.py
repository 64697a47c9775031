"""Normalising flows over small images."""
