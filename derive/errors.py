"""The one kind of error that a user's input can cause."""


class InputError(ValueError):
    """Bad input.  The message names what was wrong and what would be right; the command line prints
    it as one line and exits with 2.

    ``detail`` holds further lines to print below that one, or nothing.
    """

    detail = ""


class SourceError(InputError):
    """Bad input at one place of a text: ``file:line:column: what was wrong``.

    ``line`` is the text's line as it can be printed, ``caret`` a line that marks the place below
    it; ``detail`` is both, indented.
    """

    def __init__(self, where: str, message: str, line: str, caret: str) -> None:
        super().__init__(f"{where}: {message}")
        self.where, self.line, self.caret = where, line, caret
        self.detail = f"    {line}\n    {caret}" if line.strip() else ""
