"""The Dask operator as a process on this machine, with the permissions that a stack gives it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ephemeral_dask.contract import environment as env
from infra.components import dask_operator, identity
from infra.components.identity import Rule
from tests.engine.control_plane import Kubernetes
from tests.support.scratch_prefect import free_port
from tools.paths import ROOT

_LAST_WORDS: Final = 20.0
"""Seconds that the operator has to end."""


def kubeconfig(
    kubernetes: Kubernetes, folder: Path, *, account: str, namespace: str, rules: Sequence[Rule], rules_in: str
) -> Path:
    """Create a ServiceAccount with a Role, and return the path of a kubeconfig of it.

    Args:
        kubernetes: a control plane with both namespaces.
        folder: where the kubeconfig is written.
        account: name of the ServiceAccount and the Role.
        namespace: of the ServiceAccount.
        rules: of the Role.
        rules_in: namespace of the Role.

    """
    kubernetes.kubectl("create", "serviceaccount", account, "-n", namespace)
    role = {"kind": "Role", "metadata": {"name": account, "namespace": rules_in}, "rules": identity.role_rules(rules)}
    kubernetes.kubectl("create", "-f", "-", stdin={"apiVersion": "rbac.authorization.k8s.io/v1", **role})
    subject = f"--serviceaccount={namespace}:{account}"
    kubernetes.kubectl("create", "rolebinding", account, f"--role={account}", subject, "-n", rules_in)
    access = json.loads(kubernetes.place.kubeconfig.read_text())
    token = kubernetes.kubectl("create", "token", account, "-n", namespace).strip()
    access["users"][0]["user"] = {"token": token}
    path = folder / f"kubeconfig-{account}"
    path.touch(mode=0o600)
    path.write_text(json.dumps(access))
    return path


@contextlib.contextmanager
def running(kubernetes: Kubernetes, home: Path, *, platform: str, runs: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the operator as its pod does; its log is `operator.log` in its home.

    Args:
        kubernetes: a control plane with Dask's CRDs and both namespaces.
        home: an empty folder.
        platform: namespace of its ServiceAccount.
        runs: namespace that it watches.

    """
    rules = dask_operator.RULES
    access = kubeconfig(kubernetes, home, account="operator", namespace=platform, rules=rules, rules_in=runs)
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
