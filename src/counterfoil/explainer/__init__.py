"""Counterfactual methods, one file each."""
