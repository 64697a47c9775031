"""Generators of texts: an auto-encoder that edits them, and a language model that grades them."""
