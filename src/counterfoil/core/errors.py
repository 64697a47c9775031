"""The one exception and the one kind of warning for the user."""


class UserError(Exception):
    """Something the user can fix: one line that names what was found, what was expected and the fix."""


class CounterfoilWarning(UserWarning):
    """Something that may spoil a result, with its fix, on one line."""


def first_line(error: BaseException) -> str:
    """An error's message on one line; its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
