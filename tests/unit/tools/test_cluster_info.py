"""How a command looks at a local cluster that runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.cluster import Layout, LocalCluster, Network, cluster, supervise
from tools.cluster.supervise import ComponentStatus
from tools.errors import Problem

READY = ComponentStatus("etcd", 1, alive=True)
NOT_READY = ComponentStatus("kube-apiserver", 2, alive=False, detail="not ready, see its log")


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalCluster:
    monkeypatch.setattr(cluster, "LATE", 2.0)
    monkeypatch.setattr(cluster, "access", lambda *_: "access")
    return LocalCluster(Layout(root=tmp_path / "cluster", images=tmp_path / "images"), network=Network.PTP)


def answers(monkeypatch: pytest.MonkeyPatch, *states: list[ComponentStatus], runs: bool) -> list[int]:
    """Let the components have these states in turn, the last one for good; return one entry per question."""
    asked: list[int] = []

    def status(_: LocalCluster) -> list[ComponentStatus]:
        asked.append(1)
        return states[min(len(asked), len(states)) - 1]

    monkeypatch.setattr(LocalCluster, "status", status)
    monkeypatch.setattr(supervise, "live_process", lambda *_: object() if runs else None)
    return asked


def test_a_component_that_answers_late_is_asked_again(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = ComponentStatus("kube-apiserver", 2, alive=True)
    answers(monkeypatch, [READY, NOT_READY], [READY, ready], runs=True)
    assert str(local.info()) == "access"


def test_a_component_that_does_not_become_ready_is_named(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, [READY, NOT_READY], runs=True)
    with pytest.raises(Problem, match="kube-apiserver is not running: not ready"):
        local.info()
    assert len(asked) > 1


def test_a_component_that_has_ended_is_named_at_once(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answers(monkeypatch, [READY, NOT_READY], runs=False)
    with pytest.raises(Problem, match="kube-apiserver is not running"):
        local.info()
    assert len(asked) == 1
