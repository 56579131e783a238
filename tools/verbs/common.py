"""What the verbs share: which stack on which target, and whether it is up."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass

from infra import naming
from infra.settings import EmbeddedPrefect, Settings
from tools import stackfile, target
from tools.errors import Problem
from tools.kubernetes import Kubernetes
from tools.stack import Stack
from tools.target import LOCAL, Target


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The stack that a verb works on.

    Attributes:
        stack: in Pulumi.
        target: where it is deployed.
        settings: from its file, with what the target overrides.

    """

    stack: Stack
    target: Target
    settings: Settings

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment of child processes: it names the cluster and the Pulumi backend."""
        return self.target.run_environment()


def select(arguments: argparse.Namespace, *, start: bool = False) -> Selection:
    """Return what `--stack` and `--cluster` name.

    Args:
        arguments: of the command line.
        start: whether the local cluster is started when it is not running.

    Raises:
        Problem: the stack's file is missing or wrong, or the cluster does not answer.

    """
    # The file first: it says in a moment what would otherwise come after the start of a cluster.
    content = stackfile.read(arguments.stack)
    cluster = connect(arguments, start=start)
    return Selection(
        stack=Stack(arguments.stack, cluster),
        target=cluster,
        settings=stackfile.check(arguments.stack, content, cluster.overrides),
    )


def connect(arguments: argparse.Namespace, *, start: bool = False) -> Target:
    """Return the cluster that `--cluster` names.

    Args:
        arguments: of the command line.
        start: whether the local cluster is started when it is not running.

    Raises:
        Problem: it does not answer.

    """
    return target.local(start=start) if arguments.cluster == LOCAL else target.existing()


def require_up(selection: Selection) -> None:
    """Refuse a stack that is not up, without waiting for a server that cannot answer.

    Raises:
        Problem: it was never brought up, or its Prefect server has no pod that is ready.

    """
    name, namespace = selection.stack.name, selection.settings.namespace
    not_up = Problem(f"Stack {name} is not up", remedy=f"Run make up STACK={name}")
    if not isinstance(selection.settings.prefect, EmbeddedPrefect):
        if not selection.stack.outputs():
            raise not_up
        return
    server = Kubernetes(selection.environment).get(
        f"deployments/{naming.SERVER}", version="apps/v1", namespace=namespace
    )
    if server is None:
        raise not_up
    if not server.get("status", {}).get("readyReplicas"):
        replicas = server["spec"].get("replicas", 1)
        raise Problem(
            f"The Prefect server of stack {name} is not running: {replicas} pod(s) are asked for and none is ready",
            remedy=f"Run make doctor STACK={name} to see why, and make up STACK={name} to repair it",
        )
