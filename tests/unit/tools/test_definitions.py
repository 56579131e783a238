from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from infra.naming import DASK_VERSION as VERSION
from tools import definitions
from tools.errors import Problem

NAME = "daskclusters.kubernetes.dask.org"


def definition(**annotations: str) -> dict[str, Any]:
    return {"metadata": {"name": NAME, "annotations": annotations}, "spec": {"group": "kubernetes.dask.org"}}


class Kubectl:
    def __init__(self, found: list[dict[str, Any]], live: str = "") -> None:
        self.found, self.live = found, live
        self.deleted: list[str] = []

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        output = ""
        if command[1:3] == ["get", "customresourcedefinitions"]:
            output = json.dumps({"items": self.found})
        elif command[1] == "get":
            output = self.live
        elif command[1] == "delete":
            self.deleted += command[3:]
        return subprocess.CompletedProcess(command, 0, output, "")


def remove(monkeypatch: pytest.MonkeyPatch, kubectl: Kubectl) -> list[str]:
    monkeypatch.setattr(subprocess, "run", kubectl)
    definitions.remove({})
    return kubectl.deleted


def test_unused_definitions_of_ours_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert remove(monkeypatch, Kubectl([definition(**{VERSION: "2026.3.0"})])) == [NAME]


def test_definitions_stay_while_a_dask_cluster_exists_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl = Kubectl([definition(**{VERSION: "2026.3.0"})], live="daskcluster/a")
    with pytest.raises(Problem, match="1 Dask clusters exist"):
        remove(monkeypatch, kubectl)
    assert kubectl.deleted == []


def test_definitions_of_somebody_else_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl = Kubectl([definition()])
    with pytest.raises(Problem, match="installed by somebody else"):
        remove(monkeypatch, kubectl)
    assert kubectl.deleted == []


def test_a_cluster_without_them_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert remove(monkeypatch, Kubectl([])) == []
