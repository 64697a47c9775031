"""Tables, pictures, pages and comparisons of what was measured."""
