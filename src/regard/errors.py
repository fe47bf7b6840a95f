"""The errors a user can cause. Whatever else is raised is a fault of ours."""

from pathlib import Path


class InputError(ValueError):
    """What was given cannot be used: says what must hold, what came and what to do, with file and line."""

    def __init__(self, message: str, *, file: str | Path | None = None, line: int | None = None) -> None:
        self.message, self.file, self.line = message, file, line
        where = "" if file is None else f"{file}:{line}: " if line else f"{file}: "
        super().__init__(where + message)


class Unsupported(InputError):
    """A backend was asked by name for something it cannot compute exactly."""


class Interrupted(InputError):
    """A person stopped the work; the message says how to go on."""
