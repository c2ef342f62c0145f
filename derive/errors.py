"""The one kind of error that a user's input can cause."""


class InputError(ValueError):
    """Bad input.  The message names what was wrong and what would be right; the command line prints
    it as one line and exits with 2."""
