"""Errors that the engine shows as one message instead of a traceback."""

from __future__ import annotations

import sys
import traceback
from types import SimpleNamespace


class RegistrationError(Exception):
    """A Prefect object could not be read or written.

    Args:
        what: what failed, with the object and the address, without full stop.
        why: the message of the server or of this machine, without full stop.
        remedy: what to do about it, without full stop.
        status: HTTP status of the response; 0 without one.

    """

    def __init__(self, what: str, *, why: str, remedy: str, status: int = 0) -> None:
        super().__init__(f"{what}: {_clause(why)}; {_clause(remedy)}.")
        self.what = what
        self.why = why
        self.status = status


class UnreachableError(RegistrationError):
    """The server did not answer within the deadline, so the state of the object is unknown."""


class GoneError(UnreachableError):
    """The server's Service or namespace does not exist in Kubernetes, so its objects do not exist either."""


def _clause(text: str) -> str:
    return " ".join(text.split()).rstrip(".;: ")


def install_error_formatter() -> None:
    """Make the dynamic provider's process report a `RegistrationError` as its message.

    That process (`python -m pulumi.dynamic`) hands `traceback.format_exc()` to the engine for every
    exception, and offers no other way to report an error of create, read, update or delete. So the name `traceback` of
    that module is replaced. Every other exception keeps its traceback, because it is a bug of this package. In
    another process this function does nothing.
    """
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name == "pulumi.dynamic.__main__":
        vars(main)["traceback"] = SimpleNamespace(format_exc=format_error)


def format_error() -> str:
    """Return the text of the current exception for the engine."""
    error = sys.exc_info()[1]
    return str(error) if isinstance(error, RegistrationError) else traceback.format_exc()


def log(kind: str, text: str) -> None:
    """Print a message that is not an error: the engine shows standard error below the stack.

    Args:
        kind: `warning` or `info`.
        text: the message.

    """
    print(f"{kind}: {' '.join(text.split())}", file=sys.stderr, flush=True)
