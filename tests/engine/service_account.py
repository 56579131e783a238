"""Access to a control plane as one of its ServiceAccounts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from infra.components import identity
from infra.components.identity import Rule
from tests.engine.control_plane import Kubernetes


def create(kubernetes: Kubernetes, name: str, *, namespace: str, rules: Sequence[Rule], rules_in: str) -> None:
    """Create a ServiceAccount with a Role.

    Args:
        kubernetes: a control plane with both namespaces.
        name: of the ServiceAccount and the Role.
        namespace: of the ServiceAccount.
        rules: of the Role.
        rules_in: namespace of the Role.

    """
    kubernetes.kubectl("create", "serviceaccount", name, "-n", namespace)
    role = {"kind": "Role", "metadata": {"name": name, "namespace": rules_in}, "rules": identity.role_rules(rules)}
    kubernetes.kubectl("create", "-f", "-", stdin={"apiVersion": "rbac.authorization.k8s.io/v1", **role})
    subject = f"--serviceaccount={namespace}:{name}"
    kubernetes.kubectl("create", "rolebinding", name, f"--role={name}", subject, "-n", rules_in)


def kubeconfig(kubernetes: Kubernetes, name: str, *, namespace: str, folder: Path) -> Path:
    """Return the path of a kubeconfig of a ServiceAccount.

    Args:
        kubernetes: a control plane with the ServiceAccount.
        name: of the ServiceAccount.
        namespace: of the ServiceAccount.
        folder: where the kubeconfig is written.

    """
    access = json.loads(kubernetes.place.kubeconfig.read_text())
    token = kubernetes.kubectl("create", "token", name, "--namespace", namespace).strip()
    access["users"][0]["user"] = {"token": token}
    path = folder / f"kubeconfig-{name}"
    path.touch(mode=0o600)
    path.write_text(json.dumps(access))
    return path
