"""Ports of this machine's loopback address."""

from __future__ import annotations

import socket


def free(port: int) -> int | None:
    """Return a port that a program can listen on at 127.0.0.1, or None if another program has it.

    Args:
        port: which one; 0 for any.

    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return None
        number: int = probe.getsockname()[1]
        return number
