from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from infra import settings
from tests.unit.tools.fake_kubernetes import fake_kubernetes
from tools.cluster.wait import until
from tools.stack import Stack
from tools.target import Target
from tools.verbs import common

SETTINGS = settings.parse({"image": {"builder": "docker-build", "registry": "r"}}, stack="dev")


def selection(kubeconfig: str) -> common.Selection:
    target = Target(cluster="local", environment={"KUBECONFIG": kubeconfig}, overrides={})
    return common.Selection(stack=Stack("dev", target), target=target, settings=SETTINGS)


def server(*, ready: bool, waiting: str | None = None) -> dict[str, Any]:
    state = {"running": {}} if waiting is None else {"waiting": {"reason": waiting}}
    return {
        "metadata": {"name": "prefect-server-1"},
        "status": {
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [{"name": "server", "state": state}],
        },
    }


@pytest.mark.parametrize("waiting", [None, "ContainerCreating"])
def test_an_update_waits_for_a_server_that_is_starting(tmp_path: Path, waiting: str | None) -> None:
    with fake_kubernetes(tmp_path) as cluster:
        cluster.pods = [server(ready=False, waiting=waiting)]
        waits = threading.Thread(target=common.wait_for_server, args=(selection(cluster.kubeconfig),))
        waits.start()
        assert until(lambda: bool(cluster.selectors), seconds=10)
        assert waits.is_alive()
        cluster.pods = [server(ready=True)]
        waits.join(timeout=10)
        assert not waits.is_alive()
        assert set(cluster.selectors) == {"app.kubernetes.io/name=prefect-server"}


@pytest.mark.parametrize(
    "pods", [[], [server(ready=True)], [server(ready=False, waiting="ImagePullBackOff")]], ids=["none", "up", "failed"]
)
def test_an_update_waits_for_no_other_server(tmp_path: Path, pods: list[dict[str, Any]]) -> None:
    with fake_kubernetes(tmp_path) as cluster:
        cluster.pods = pods
        common.wait_for_server(selection(cluster.kubeconfig))
        assert len(cluster.selectors) == 1
