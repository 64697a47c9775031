"""The one exception a person is meant to read."""


class UserError(Exception):
    """Something the user can fix: one line that names what was found, what was expected and the option that fixes it."""


def first_line(error: BaseException) -> str:
    """What an error says, on one line; its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
