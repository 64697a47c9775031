"""The one exception a person is meant to read."""


class UserError(Exception):
    """Something the user can cure: one line that names what was found, what was expected and the option that cures it."""
