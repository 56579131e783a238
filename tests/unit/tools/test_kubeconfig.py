"""`kubernetes:context` of a stack's file applies to kubectl and to every client of the verbs."""

from __future__ import annotations

import json
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools import kubeconfig, paths
from tools.errors import Problem


def content(**config: Any) -> dict[str, Any]:
    return {"config": {f"kubernetes:{key}": value for key, value in config.items()}}


@pytest.fixture
def kubectl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[list[str], dict[str, str]]]:
    """Answer `kubectl config view` and return the commands."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append((command, env))
        if command[-1] == "--context=missing":
            return subprocess.CompletedProcess(command, 1, "", 'error: context "missing" does not exist')
        return subprocess.CompletedProcess(command, 0, json.dumps({"current-context": "prod"}), "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(paths, "state_dir", lambda: tmp_path)
    return calls


def test_without_the_keys_it_is_the_current_context(kubectl: list[Any]) -> None:
    assert kubeconfig.variables(kubeconfig.choice("prod", {}), {}) == {}
    assert kubeconfig.variables(kubeconfig.CURRENT, {}) == {}
    assert kubectl == []


def test_a_context_becomes_a_kubeconfig_that_its_owner_alone_can_read(kubectl: list[Any]) -> None:
    result = kubeconfig.variables(kubeconfig.choice("prod", content(context="prod-eu")), {"KUBECONFIG": "/own"})
    path = Path(result["KUBECONFIG"])
    assert json.loads(path.read_text()) == {"current-context": "prod"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    [(command, environment)] = kubectl
    assert command[-2:] == ["--minify", "--context=prod-eu"]
    assert environment["KUBECONFIG"] == "/own"


def test_a_path_of_a_kubeconfig_is_used_with_and_without_a_context(kubectl: list[Any]) -> None:
    assert kubeconfig.variables(kubeconfig.choice("prod", content(kubeconfig="/team")), {}) == {"KUBECONFIG": "/team"}
    kubeconfig.variables(
        kubeconfig.choice("prod", content(kubeconfig="/team", context="prod-eu")), {"KUBECONFIG": "/own"}
    )
    assert kubectl[0][1]["KUBECONFIG"] == "/team"


@pytest.mark.parametrize("contents", ["apiVersion: v1\nkind: Config\n", "{}", {"secure": "v1:abc"}])
def test_contents_are_for_pulumi_only(contents: Any) -> None:
    assert kubeconfig.choice("prod", content(kubeconfig=contents)).file == ""


def test_a_context_that_the_kubeconfig_does_not_have_is_named(kubectl: list[Any]) -> None:
    with pytest.raises(Problem) as caught:
        kubeconfig.variables(kubeconfig.choice("prod", content(context="missing")), {})
    assert "kubernetes:context of Pulumi.prod.yaml is 'missing'" in str(caught.value)
    assert 'context "missing" does not exist' in str(caught.value)
    assert kubectl
