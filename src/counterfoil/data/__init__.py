"""Data sets as uint8 images served by index, corruptions of queries, and frozen sets of queries."""
