"""Translation between classes that never asks the classifier."""
