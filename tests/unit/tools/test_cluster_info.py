"""How commands look at a local cluster that runs."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from tools.cluster import Layout, LocalCluster, Network, cluster, images, node, pki, supervise
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


@pytest.fixture
def started(local: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let the cluster have been started as it would be now; return what is done to it from then on."""
    (local.place.images / "base").mkdir(parents=True)
    local.place.started.parent.mkdir(parents=True)
    local.place.started.write_text("as now")
    done: list[str] = []
    monkeypatch.setattr(images, "catalogue", lambda: {"debian-python": SimpleNamespace(name="base", folder="base")})
    monkeypatch.setattr(pki, "stale", lambda *_: False)
    monkeypatch.setattr(node, "is_ready", lambda *_, **__: True)
    monkeypatch.setattr(cluster, "Api", lambda _: None)
    for method, value in (("_fingerprint", "as now"), ("_components", []), ("preflight", [])):
        monkeypatch.setattr(LocalCluster, method, lambda *_, value=value: value)
    monkeypatch.setattr(cluster.programs, "built", lambda _: {})
    monkeypatch.setattr(cluster.packages, "install", lambda _: None)
    monkeypatch.setattr(images, "ensure", lambda *_: None)
    for step in ("_stop", "_start"):
        monkeypatch.setattr(LocalCluster, step, lambda *_, step=step: done.append(step))
    return done


def test_an_up_leaves_a_cluster_alone_of_which_a_component_answers_late(
    local: LocalCluster, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = ComponentStatus("kube-apiserver", 2, alive=True)
    answers(monkeypatch, [READY, NOT_READY], [READY, ready], runs=True)
    assert str(local.up()) == "access"
    assert started == []


def test_an_up_starts_a_cluster_again_of_which_a_component_has_ended(
    local: LocalCluster, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, [READY, NOT_READY], runs=False)
    assert str(local.up()) == "access"
    assert started == ["_stop", "_start"]
