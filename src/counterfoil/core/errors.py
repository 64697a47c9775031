"""The one exception and the one kind of warning that a person is meant to read."""


class UserError(Exception):
    """Something the user can fix: one line that names what was found, what was expected and the option that fixes it."""


class CounterfoilWarning(UserWarning):
    """Something that may spoil a result, with its fix, on one line."""


def first_line(error: BaseException) -> str:
    """What an error says, on one line; its type where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
