"""The generator of progressive exaggeration, trained against the classifier."""
