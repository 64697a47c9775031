"""Views of the joined jobs of a study: tables, curves, comparisons, pictures."""
