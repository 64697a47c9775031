"""What makes the documentation site out of docs/, the docstrings, the configs and the published figures."""
