"""What happens to a run on the real cluster when the node of its pod is lost.

The node is an object whose heartbeats the test sends, and then does not: Kubernetes knows no more of a node. What its
kubelet would report of the pod is written by the test ([ADR 17](../../../docs/adr/0017-a-lost-node-in-tests.md)).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ephemeral_dask.contract import labels
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.runs import ask, changed_template, ended, jobs, state
from tools.cluster.wait import until

NODE = "lost"
TOLERATED = 20
"""Seconds after which Kubernetes gives up a pod on a node that does not answer; 300 by default."""

NOTICED = 60
"""Seconds after the last heartbeat until the node counts as unreachable."""

GRACE = 90
"""Seconds: the grace period of flow pods, and as long for the reaper."""


def on_the_node(pod: dict[str, Any]) -> None:
    """Put a pod on the node, without the volume that is elsewhere."""
    pod["nodeSelector"] = {"kubernetes.io/hostname": NODE}
    toleration = {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"}
    pod["tolerations"] = [{**toleration, "tolerationSeconds": TOLERATED}]
    claims = {each["name"] for each in pod.get("volumes", []) if "persistentVolumeClaim" in each}
    pod["volumes"] = [each for each in pod.get("volumes", []) if each["name"] not in claims]
    for container in pod["containers"]:
        container["volumeMounts"] = [each for each in container["volumeMounts"] if each["name"] not in claims]


@contextmanager
def node(newcomer: Newcomer) -> Iterator[Callable[[], None]]:
    """Create the node and yield what sends a heartbeat of it."""
    metadata = {"name": NODE, "labels": {"kubernetes.io/hostname": NODE, "kubernetes.io/os": "linux"}}
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
    newcomer.kubectl("create", "-f", "-", stdin=json.dumps(manifest))
    room = {"cpu": "4", "memory": "8Gi", "pods": "10", "ephemeral-storage": "20Gi"}

    def heartbeat() -> None:
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ready"}
        ready["lastHeartbeatTime"] = now()
        status = {"status": {"capacity": room, "allocatable": room, "conditions": [ready]}}
        newcomer.kubectl("patch", "node", NODE, "--subresource=status", "--type=strategic", "-p", json.dumps(status))

    try:
        yield heartbeat
    finally:
        newcomer.kubectl("delete", "node", NODE, "--wait=true")


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pods(newcomer: Newcomer, run: str) -> list[dict[str, Any]]:
    selector = f"{labels.PREFECT_FLOW_RUN}={run}"
    items = json.loads(newcomer.kubectl("get", "pods", "-l", selector, "-o", "json", namespace=RUNS))["items"]
    return list(items)


def report_running(newcomer: Newcomer, pod: dict[str, Any]) -> None:
    """Write what a kubelet writes when the container has started."""
    container = {"name": labels.FLOW_CONTAINER, "image": "flow", "imageID": "", "ready": True, "started": True}
    running = {**container, "restartCount": 0, "state": {"running": {"startedAt": now()}}}
    status = json.dumps({"status": {"phase": "Running", "containerStatuses": [running]}})
    name = pod["metadata"]["name"]
    newcomer.kubectl("patch", "pod", name, "--subresource=status", "--type=merge", "-p", status, namespace=RUNS)


def test_a_run_whose_node_is_lost_is_crashed_with_the_cause_once_kubernetes_gives_up_its_pod(
    newcomer: Newcomer,
) -> None:
    with node(newcomer) as heartbeat:

        def is_placed() -> bool:
            heartbeat()
            return any(each["spec"].get("nodeName") == NODE for each in pods(newcomer, run))

        with changed_template(newcomer, on_the_node):
            run = newcomer.start("patient/one", "--param", "seconds=600")
            assert until(is_placed, seconds=120, interval=2), jobs(newcomer, run)
        [pod] = pods(newcomer, run)
        report_running(newcomer, pod)
        ask(newcomer, f"(await client.set_flow_run_state('{run}', states.Running())).status.value")
        heartbeat()
        lost = time.monotonic()
        assert state(newcomer, run)[0] == "RUNNING"
        assert until(
            lambda: "deletionTimestamp" in pods(newcomer, run)[0]["metadata"],
            seconds=NOTICED + TOLERATED + 60,
            interval=2,
        ), "the fault took no effect"
        assert state(newcomer, run)[0] == "RUNNING", "Kubernetes had not given up the pod for long enough"
        kind, message = ended(newcomer, run, seconds=GRACE + 60)
        print(f"Crashed {time.monotonic() - lost:.0f} s after the last heartbeat")
        assert kind == "CRASHED", message
        assert message.startswith("Its pod ended: its node does not answer"), message
        following = newcomer.start("patient/one", "--param", "seconds=1")
        assert ended(newcomer, following, seconds=120)[0] == "COMPLETED", "its slot is still taken"
    assert until(lambda: "pod/" not in jobs(newcomer, run), seconds=180, interval=2), jobs(newcomer, run)
