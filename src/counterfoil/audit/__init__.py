"""What a classifier relies on, read off the counterfactuals of several methods."""
