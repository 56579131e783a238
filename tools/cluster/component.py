"""One process of the cluster, and the questions that tell whether it is ready."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Component:
    """One process.

    Attributes:
        name: its name in logs and messages.
        argv: program, by name, and arguments.
        ready: a probe that answers within a second or two.
        after: the components that must be ready before it starts.
        environment: variables beside the few that all get.
        wrapper: a program of the machine, with arguments, that executes `argv` in its own place.

    """

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    after: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()


def http_ok(port: int, path: str, *, authority: Path | None = None) -> bool:
    """Whether a GET on 127.0.0.1 answers 200; over TLS when an authority is given."""
    try:
        connection: http.client.HTTPConnection
        if authority:
            context = ssl.create_default_context(cafile=str(authority))
            connection = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=2)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def accepts(path: Path) -> bool:
    """Whether somebody listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
