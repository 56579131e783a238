"""Debian's Redis as a plain process on the node's address, for several Prefect servers in the cluster."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from typing import Final

from tools.cluster import Layout, packages, process
from tools.cluster.layout import NODE_IP
from tools.cluster.wait import until

PORT: Final = 6379
USER: Final = "redis"
"""Debian's account for it."""


@contextlib.contextmanager
def running(cluster: Layout) -> Iterator[str]:
    """Run a server for the time of a test, beside a cluster that runs, and yield its address."""
    if shutil.which("redis-server") is None:
        packages.install(["redis-server"])
    folder = cluster.root.with_name("redis")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    password = secrets.token_urlsafe(24)
    settings = folder / "redis.conf"
    settings.touch(mode=0o600)
    settings.write_text(f'bind {NODE_IP}\nport {PORT}\nrequirepass {password}\nsave ""\nappendonly no\n')
    pid_file = folder / "redis.pid"
    # It may not read what is below root's home, and gets its settings on standard input.
    script = f'exec setpriv --reuid={USER} --regid={USER} --clear-groups --no-new-privs redis-server - < "$1"'
    process.start(
        ["sh", "-euc", script, "sh", str(settings)],
        log=folder / "redis.log",
        pid_file=pid_file,
        mark=str(cluster.root),
        environment={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    )
    try:
        assert until(lambda: _answers(password), seconds=30, interval=0.2), process.tail(folder / "redis.log")
        yield f"redis://:{password}@{NODE_IP}:{PORT}/0"
    finally:
        if running := process.read_pid_file(pid_file):
            process.stop([running], grace=5)
        shutil.rmtree(folder)


def _answers(password: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((NODE_IP, PORT), timeout=2) as connection:
        connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        return b"+PONG" in connection.recv(100)
    return False
