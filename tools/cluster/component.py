"""One process of the cluster, and the probes that find out whether it is ready."""

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
        ready: a readiness probe, which returns within two seconds.
        after: the components that must be ready before this one starts.
        environment: variables in addition to those of every component.
        wrapper: a program of the machine, with arguments, that replaces itself with `argv`.

    """

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    after: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()


def http_ok(port: int, path: str, *, authority: Path | None = None, client: Path | None = None) -> bool:
    """Return whether a GET on 127.0.0.1 is answered with 200.

    Args:
        port: the port.
        path: the path of the URL.
        authority: a CA certificate, for TLS.
        client: the certificate to show, beside a key with the ending `.key`.

    """
    try:
        connection: http.client.HTTPConnection
        if authority:
            context = ssl.create_default_context(cafile=str(authority))
            if client:
                context.load_cert_chain(client, client.with_suffix(".key"))
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
    """Return whether a process listens on a Unix socket."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
        except OSError:
            return False
    return True
