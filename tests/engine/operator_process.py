"""The Dask operator as a process on this machine, with the permissions that a stack gives it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ephemeral_dask.contract import environment as env
from infra.components import dask_operator
from tests.engine import service_account
from tests.engine.control_plane import Kubernetes
from tests.support.scratch_prefect import free_port
from tools.paths import ROOT

_ACCOUNT: Final = "operator"

_LAST_WORDS: Final = 20.0
"""Seconds that the operator has to end."""


@contextlib.contextmanager
def running(kubernetes: Kubernetes, home: Path, *, platform: str, runs: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the operator as its pod does; its log is `operator.log` in its home.

    Args:
        kubernetes: a control plane with Dask's CRDs and both namespaces.
        home: an empty folder.
        platform: namespace of its ServiceAccount.
        runs: namespace that it watches.

    """
    service_account.create(kubernetes, _ACCOUNT, namespace=platform, rules=dask_operator.RULES, rules_in=runs)
    access = service_account.kubeconfig(kubernetes, _ACCOUNT, namespace=platform, folder=home)
    liveness = f"--liveness=http://127.0.0.1:{free_port()}/healthz"
    with (home / "operator.log").open("wb") as output:
        operator = subprocess.Popen(
            [sys.executable, "-m", "kopf", "run", "-m", "ops.operator", liveness, f"--namespace={runs}"],
            cwd=home,
            env={**os.environ, "KUBECONFIG": str(access), env.NAMESPACE: runs, "PYTHONPATH": str(ROOT)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield operator
        finally:
            operator.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                operator.wait(_LAST_WORDS)
            operator.kill()
