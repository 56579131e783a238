"""What the verbs share: which stack on which target, and whether it is up."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from infra import naming
from infra.settings import EmbeddedPrefect, Settings
from tools import stackfile, targets
from tools.cluster.wait import until
from tools.errors import Problem
from tools.kubernetes import Kubernetes, Object, is_ready
from tools.progress import status
from tools.stack import Stack
from tools.target import Target
from tools.targets import choice

_SERVER_START: Final = 90.0
"""Seconds that a Prefect server whose pod is starting may take."""


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
        start: whether a cluster of this project's own is started when it is not running.

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
    """Return the cluster that `--cluster` names, or that this machine can run.

    Args:
        arguments: of the command line.
        start: whether a cluster of this project's own is started when it is not running.

    Raises:
        Problem: it does not answer, or this machine can run none.

    """
    cluster = targets.named(choice.choose(arguments.cluster).cluster, arguments.stack)
    if start:
        cluster.start()
    return cluster.target()


def images(stack: Stack) -> dict[str, str]:
    """Return the references of a stack's images: `flow` and `platform`.

    Raises:
        Problem: the stack is not up.

    """
    outputs = stack.outputs()
    if "flowImage" not in outputs:
        raise Problem(f"Stack {stack.name} is not up", remedy=f"Run make up STACK={stack.name}")
    return {"flow": str(outputs["flowImage"]), "platform": str(outputs["platformImage"])}


def require_up(selection: Selection) -> None:
    """Refuse a stack that is not up, without waiting for a server that cannot answer.

    Raises:
        Problem: it was never brought up, or its Prefect server has no pod that is ready.

    """
    name, namespace = selection.stack.name, selection.settings.namespaces.platform
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


def wait_for_server(selection: Selection) -> None:
    """Wait until an embedded Prefect server whose pod is starting takes requests, for as long as a start may take.

    After a restart of the cluster an update would compare nothing with the server otherwise, and say so for each
    deployment. A pod that has failed is not waited for: the update may be what repairs it.
    """
    if not isinstance(selection.settings.prefect, EmbeddedPrefect):
        return
    kubernetes = Kubernetes(selection.environment)

    def settled() -> bool:
        pods = kubernetes.list(
            "pods", namespace=selection.settings.namespaces.platform, selector=f"app.kubernetes.io/name={naming.SERVER}"
        )
        return any(map(is_ready, pods)) or not any(map(_is_starting, pods))

    with status(lambda: "waiting for the Prefect server to start"):
        until(settled, seconds=_SERVER_START, interval=1)


def _is_starting(pod: Object) -> bool:
    containers = pod.get("status", {}).get("containerStatuses", ())
    reasons = {each["state"].get("waiting", {}).get("reason", "ContainerCreating") for each in containers}
    return "deletionTimestamp" not in pod["metadata"] and reasons <= {"ContainerCreating", "PodInitializing"}
