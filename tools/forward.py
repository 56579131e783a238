"""Ways from this machine into a stack: to its Prefect API, and to any Service."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from infra import naming
from infra.settings import EmbeddedPrefect, Settings
from tools.errors import Problem

_OPENED: Final = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+) ")
_DEADLINE: Final = 30.0
"""Seconds until kubectl must have opened the port."""


@contextmanager
def prefect_api(chosen: Settings, environment: Mapping[str, str], *, port: int = 0) -> Iterator[str]:
    """Give the address of the stack's Prefect API for as long as the block runs.

    Args:
        chosen: the stack's settings. A server inside the cluster is reached by a port-forward through the
            Kubernetes API, any other at its own address.
        environment: the environment in which kubectl talks to the cluster.
        port: local port of the forward; a free one by default.

    Raises:
        Problem: the port cannot be opened.

    """
    if not isinstance(chosen.prefect, EmbeddedPrefect):
        yield chosen.prefect.api_url
        return
    with port_forward(
        f"service/{naming.SERVER}", naming.SERVER_PORT, namespace=chosen.namespace, environment=environment, port=port
    ) as opened:
        yield f"http://127.0.0.1:{opened}/api"


@contextmanager
def port_forward(
    target: str, remote: int, *, namespace: str, environment: Mapping[str, str], port: int = 0
) -> Iterator[int]:
    """Open a way through the Kubernetes API for as long as the block runs, and give the local port.

    Args:
        target: `service/<name>` or `pod/<name>`.
        remote: its port.
        namespace: where it is.
        environment: the environment in which kubectl talks to the cluster.
        port: local port; a free one by default.

    Raises:
        Problem: the port cannot be opened.

    """
    command = ["kubectl", "--namespace", namespace, "port-forward", target, f"{port or ''}:{remote}"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # kubectl that never answers must not hang us: ending it ends the read below.
    watchdog = threading.Timer(_DEADLINE, process.terminate)
    watchdog.start()
    try:
        try:
            opened = _opened(process, target)
        finally:
            watchdog.cancel()
        yield int(opened)
    finally:
        process.terminate()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def _opened(process: subprocess.Popen[str], target: str) -> str:
    if process.stdout is None or process.stderr is None:
        raise AssertionError("both streams are pipes")
    for line in process.stdout:
        if found := _OPENED.match(line):
            # Every connection is a line more; a full pipe would stop kubectl.
            for stream in (process.stdout, process.stderr):
                threading.Thread(target=stream.read, daemon=True).start()
            return found.group(1)
    raise Problem(
        f"The port to {target} could not be opened",
        remedy="Look whether its pod runs (`kubectl get pods`) and whether the port is free; `make doctor` tells more",
        detail=process.stderr.read(),
    )
