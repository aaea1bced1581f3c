"""The exceptions users see."""


class TinyflowError(Exception):
    """A failure the user can act on.

    ``message`` names the file and the value that is wrong; ``hint`` says the way out.
    The CLI prints both and exits with status 1; anything else that escapes is a bug.
    """

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class Interrupted(TinyflowError):
    """Ctrl-C, after what can be resumed was saved; the CLI exits with status 130."""
