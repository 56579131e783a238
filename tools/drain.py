"""End a stack's live runs before what they depend on goes."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Final

from infra import naming
from tools.progress import say, step

_DEADLINE: Final = 90
"""Seconds for the Dask operator to take the clusters down; a run's orderly end takes up to 30."""

_KINDS: Final = "daskclusters,daskautoscalers,daskworkergroups"


def drain(namespace: str, environment: Mapping[str, str]) -> None:
    """Stop taking runs, end those that are under way, and delete their Dask clusters while the operator lives.

    The operator has a finalizer on every DaskCluster. Once it is gone nobody takes that away, and the namespace
    would stay in Terminating for ever: what is left after the deadline therefore loses its finalizers here.
    See https://github.com/nolar/kopf/issues/1104.
    """

    def kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["kubectl", "--namespace", namespace, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    if kubectl("get", "daskclusters", "--output", "name").returncode != 0:
        return  # the definitions are not there, so nothing of Dask is
    with step("ending live runs"):
        kubectl("scale", "deployment", "--selector", f"app.kubernetes.io/name={naming.WORKER}", "--replicas=0")
        kubectl("delete", "jobs", "--selector", "prefect.io/flow-run-id", f"--timeout={_DEADLINE}s")
        kubectl("delete", "daskclusters", "--all", f"--timeout={_DEADLINE}s")
        for name in kubectl("get", _KINDS, "--output", "name").stdout.split():
            say(f"    {name} did not go in {_DEADLINE} s: its finalizers are taken away")
            kubectl("patch", name, "--type=merge", "--patch", '{"metadata":{"finalizers":null}}')
            kubectl("delete", name, "--ignore-not-found", "--wait=false")
