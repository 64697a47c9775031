"""An embedding of style, trained to match two views of an image."""
