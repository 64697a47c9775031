"""Learned maps in the code of a frozen generative model, one for each pair of classes."""
