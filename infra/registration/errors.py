"""One sentence for the person, instead of a traceback."""

from __future__ import annotations

import sys
import traceback
from types import SimpleNamespace


class RegistrationError(Exception):
    """A Prefect object could not be read or written.

    Args:
        what: what failed, naming the object and the address, without full stop.
        why: the server's own words or the machine's, without full stop.
        remedy: what to do about it, without full stop.
        status: of the server's answer, if there was one.

    """

    def __init__(self, what: str, *, why: str, remedy: str, status: int = 0) -> None:
        super().__init__(f"{what}: {_clause(why)}; {_clause(remedy)}.")
        self.what = what
        self.why = why
        self.status = status


class UnreachableError(RegistrationError):
    """Nobody answered within the deadline: nothing is known about the object."""


class GoneError(UnreachableError):
    """Kubernetes says that the server's Service or namespace does not exist; neither do its objects, then."""


def _clause(text: str) -> str:
    return " ".join(text.split()).rstrip(".;: ")


def install_error_formatter() -> None:
    """Make the dynamic provider's process report a `RegistrationError` as its sentence.

    That process (`python -m pulumi.dynamic`) hands `traceback.format_exc()` to the engine for every
    exception, and offers no other way out of create, read, update and delete. So the name `traceback` of that
    one module is replaced; every other exception keeps its traceback, because it is a mistake of ours. In any
    other process this does nothing.
    """
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name == "pulumi.dynamic.__main__":
        vars(main)["traceback"] = SimpleNamespace(format_exc=format_error)


def format_error() -> str:
    """Describe the exception being handled, for the engine."""
    error = sys.exc_info()[1]
    return str(error) if isinstance(error, RegistrationError) else traceback.format_exc()


def log(kind: str, text: str) -> None:
    """Tell the person something that is no error: the engine shows standard error below the stack.

    Args:
        kind: `warning` or `info`.
        text: one sentence.

    """
    print(f"{kind}: {' '.join(text.split())}", file=sys.stderr, flush=True)
