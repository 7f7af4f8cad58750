"""Exceptions: one class for each kind of error, each also the builtin that it resembles."""

from __future__ import annotations

import os

__all__ = [
    "DeniedError",
    "EmptyError",
    "ExistsError",
    "InternalError",
    "LimitError",
    "MalformedError",
    "ModelError",
    "NotFoundError",
    "OutputError",
    "StoppedError",
    "UnetVolError",
    "UnsupportedError",
    "UsageError",
]


class UnetVolError(Exception):
    """Any error of this package: one sentence that says what is wrong, with the path it concerns.

    Attributes:
        kind: who is at fault, in a word that stays: ``"usage"``, ``"malformed"``, ``"unsupported"``, ``"model"``,
            ``"limit"``, ``"output"``, ``"empty"``, ``"interrupted"`` or ``"internal"``.
        path: the file, where there is one.
        hint: what to do about it, where that is known; also a note under the traceback.
        exit_code: what the command would return.
    """

    kind: str = "internal"
    exit_code: int = 1
    path: str | None = None
    hint: str | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return _restore, (type(self), str(self), self.path, self.hint)


class InternalError(UnetVolError, RuntimeError):
    """A defect of this package, or an output whose geometry was not what it should be."""


class UsageError(UnetVolError, ValueError):
    """Arguments that make no sense or do not go together."""

    kind = "usage"
    exit_code = 2


class ExistsError(UsageError, FileExistsError):
    """An output that exists already and was not to be replaced."""


class MalformedError(UnetVolError, ValueError):
    """An input that cannot be read."""

    kind = "malformed"
    exit_code = 3


class NotFoundError(MalformedError, FileNotFoundError):
    """An input that is not there."""


class DeniedError(MalformedError, PermissionError):
    """An input that may not be read."""


class UnsupportedError(UnetVolError, ValueError):
    """An input that is valid and of a kind that is not supported."""

    kind = "unsupported"
    exit_code = 4


class ModelError(UnetVolError, RuntimeError):
    """A model, its description, or a library that runs it."""

    kind = "model"
    exit_code = 5


class LimitError(UnetVolError, MemoryError):
    """More memory or a larger size than is allowed."""

    kind = "limit"
    exit_code = 6


class OutputError(UnetVolError, OSError):
    """An output that cannot be written."""

    kind = "output"
    exit_code = 8


class EmptyError(UnetVolError, ValueError):
    """A result without any label, where that was to be an error."""

    kind = "empty"
    exit_code = 9


class StoppedError(UnetVolError, InterruptedError):
    """Stopped on request."""

    kind = "interrupted"
    exit_code = 130


_CLASSES: dict[tuple[str, str | None], type[UnetVolError]] = {
    ("usage", None): UsageError,
    ("usage", "exists"): ExistsError,
    ("malformed", None): MalformedError,
    ("malformed", "not-found"): NotFoundError,
    ("malformed", "permission"): DeniedError,
    ("unsupported", None): UnsupportedError,
    ("model", None): ModelError,
    ("limit", None): LimitError,
    ("output", None): OutputError,
    ("empty", None): EmptyError,
    ("interrupted", None): StoppedError,
    ("internal", None): InternalError,
}


def make(
    kind: str, sentence: str, path: str | os.PathLike[str] | None, hint: str | None, io: str | None
) -> UnetVolError:
    """The exception for an error of the library."""
    chosen = _CLASSES.get((kind, io)) or _CLASSES.get((kind, None), InternalError)
    return _restore(chosen, sentence, None if path is None else os.fspath(path), hint)


def _restore(chosen: type[UnetVolError], sentence: str, path: str | None, hint: str | None) -> UnetVolError:
    error = chosen(sentence)
    error.path = path
    error.hint = hint
    if hint is not None:
        error.add_note(f"hint: {hint}")
    return error
