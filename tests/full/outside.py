"""A machine outside the cluster, which listens: a network namespace behind this machine."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from tools.cluster.wait import until

ADDRESS: Final = "203.0.113.7"
"""From a block that documentation uses (RFC 5737), so that no route leads to it otherwise."""

_HERE: Final = "203.0.113.1"
_NAME: Final = "eph-outside"
_ACCEPT: Final = f"""
import socket
server = socket.create_server(("{ADDRESS}", {{port}}))
while True:
    server.accept()[0].close()
"""


@contextlib.contextmanager
def listening(port: int) -> Iterator[None]:
    """Provide the machine, with something that accepts connections on a port."""
    ip = ("ip", "-netns", _NAME)
    steps = (
        ("ip", "netns", "add", _NAME),
        ("ip", "link", "add", _NAME, "type", "veth", "peer", "name", "eth0", "netns", _NAME),
        ("ip", "address", "add", f"{_HERE}/24", "dev", _NAME),
        ("ip", "link", "set", _NAME, "up"),
        (*ip, "address", "add", f"{ADDRESS}/24", "dev", "eth0"),
        (*ip, "link", "set", "eth0", "up"),
        (*ip, "route", "add", "default", "via", _HERE),
    )
    with contextlib.ExitStack() as stack:
        # Its end of the link goes with it, and so does the other one.
        stack.callback(subprocess.run, ["ip", "netns", "delete", _NAME], check=False)
        for step in steps:
            subprocess.run(step, check=True)
        accept = _ACCEPT.format(port=port)
        server = stack.enter_context(subprocess.Popen(["ip", "netns", "exec", _NAME, sys.executable, "-c", accept]))
        stack.callback(server.terminate)
        assert until(lambda: _connects(port), seconds=30, interval=0.2), f"{ADDRESS} does not listen on {port}"
        yield


def _connects(port: int) -> bool:
    try:
        with socket.create_connection((ADDRESS, port), timeout=2):
            return True
    except OSError:
        return False
