"""Searches the options of a method: spaces, trials, and what they show."""
