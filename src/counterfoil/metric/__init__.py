"""Measures of counterfactuals; each declares its unit, direction and range."""
