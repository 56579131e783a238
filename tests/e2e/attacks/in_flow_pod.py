"""In a flow pod: does what an order on standard input says with what the pod has, and prints the answers as JSON.

It imports nothing of the tests: the pod has the flow image alone.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx

Result = TypeVar("Result")

SILENCE = 3.0
"""Seconds without an answer after which a connection counts as refused: a NetworkPolicy drops, it does not reject."""


def main(order: Mapping[str, Any]) -> None:
    """Print the Dask clusters that the run would create, the answers to requests, and what it reads and reaches."""
    clients = {"kubernetes": kubernetes(Path(order["account"]), order["agent"])}
    if any(each["api"] == "prefect" for each in order["requests"]):
        clients["prefect"] = prefect()
    deadline, expected = time.monotonic() + order["seconds"], order["expected"]
    report = {
        "clusters": [cluster(**each) for each in order["clusters"]],
        "answers": [
            answered(clients[each["api"]], each, accepted=expected, deadline=deadline) for each in order["requests"]
        ],
        "files": [str(file) for folder in order["folders"] for file in readable(Path(folder))],
        "connected": [connects(*each, expected=expected, deadline=deadline) for each in order["addresses"]],
    }
    print(json.dumps(report))


def cluster(*, variables: Mapping[str, str], workers: int) -> dict[str, Any]:
    """Return the Dask cluster that the run would create if its code set these variables."""
    # They import Prefect, which takes seconds that requests do not need.
    from ephemeral_dask.identity import RunIdentity  # noqa: PLC0415
    from ephemeral_dask.pod_context import PodContext  # noqa: PLC0415
    from ephemeral_dask.settings import CodeSizes, DaskSettings  # noqa: PLC0415
    from ephemeral_dask.spec import dask_cluster  # noqa: PLC0415

    environment = {**os.environ, **variables}
    context = PodContext.from_env(environment)
    assert context is not None
    run = RunIdentity(flow="attack", flow_run_id=environment["PREFECT__FLOW_RUN_ID"])
    settings = DaskSettings.from_env(environment, CodeSizes(minimum=workers, maximum=workers))
    return dask_cluster(run.cluster_name("00000"), run=run, context=context, settings=settings)


def kubernetes(account: Path, agent: str) -> httpx.Client:
    """Return a client of the Kubernetes API with the token of the pod."""
    host, port = (os.environ[f"KUBERNETES_SERVICE_{part}"] for part in ("HOST", "PORT"))
    return httpx.Client(
        base_url=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        verify=ssl.create_default_context(cafile=str(account / "ca.crt")),
        headers={"Authorization": f"Bearer {(account / 'token').read_text()}", "User-Agent": agent},
        trust_env=False,
        timeout=30,
    )


def prefect() -> httpx.Client:
    """Return a client of the Prefect API with the credential of the pod, if it has one."""
    user, _, password = os.environ.get("PREFECT_API_AUTH_STRING", "").partition(":")
    client = httpx.Client(
        base_url=os.environ["PREFECT_API_URL"],
        auth=(user, password) if user else None,
        trust_env=False,
        timeout=30,
    )
    # A server with protection against forged requests answers with a token; another one refuses this.
    name = str(uuid.uuid4())
    answer = client.get("csrf-token", params={"client": name})
    if answer.is_success:
        client.headers.update({"Prefect-Csrf-Client": name, "Prefect-Csrf-Token": answer.json()["token"]})
    return client


def answered(
    client: httpx.Client, request: Mapping[str, Any], *, accepted: bool | None, deadline: float
) -> dict[str, Any]:
    """Make a request, again and again until it is accepted, or refused, as it should be."""
    kind = "application/merge-patch+json" if request["method"] == "PATCH" else "application/json"

    def send() -> httpx.Response:
        return client.request(
            request["method"],
            request["path"],
            params=request["parameters"],
            headers={"Content-Type": kind, **request["headers"]},
            content=None if request["content"] is None else json.dumps(request["content"]),
        )

    response = settled(send, lambda answer: answer.is_success, expected=accepted, deadline=deadline)
    return {"status": response.status_code, "text": response.text[:20_000]}


def readable(folder: Path) -> list[Path]:
    """Return the files whose content the pod can read."""
    return [file for file in folder.rglob("*") if file.is_file() and file.read_bytes()]


def connects(host: str, port: int, *, expected: bool | None, deadline: float) -> bool:
    """Return whether something accepts a connection, tried again and again until it does, or does not, as it should."""

    def connected() -> bool:
        try:
            socket.create_connection((host, port), timeout=SILENCE).close()
        except OSError:
            return False
        return True

    return settled(connected, bool, expected=expected, deadline=deadline)


def settled(
    attempt: Callable[[], Result], succeeded: Callable[[Result], bool], *, expected: bool | None, deadline: float
) -> Result:
    """Return the result of the first attempt that is as expected, or of the last one."""
    while True:
        result = attempt()
        if expected in (None, succeeded(result)) or time.monotonic() > deadline:
            return result
        time.sleep(0.1)


if __name__ == "__main__":
    main(json.load(sys.stdin))
