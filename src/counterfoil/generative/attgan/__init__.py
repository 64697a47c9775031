"""An attribute generator: edits of an image by its attributes."""
