from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, Self

import httpx
import pytest

from infra import naming, settings
from infra.specs.deployment import DeploymentSpec
from infra.validation import Plan
from tools import checkup

SETTINGS = settings.parse({"image": {"builder": "docker-build", "registry": "r"}}, stack="dev")


def workload(name: str, replicas: int = 1, ready: int | None = 1) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"replicas": replicas}, "status": {"readyReplicas": ready}}


ALL = [workload(name) for name in ("prefect-server", "prefect-worker-dask", "dask-operator", "dask-reaper")]


def problems(workloads: list[dict[str, Any]]) -> str:
    return "\n".join(map(str, checkup.unready(workloads, SETTINGS, "dev")))


def test_a_stack_whose_pods_are_all_ready_has_no_problem() -> None:
    assert problems(ALL) == ""


def test_a_server_at_no_replicas_is_a_problem() -> None:
    text = problems([workload("prefect-server", replicas=0, ready=None), *ALL[1:]])
    assert "Deployment prefect-server is scaled to 0 replicas" in text
    assert "make up STACK=dev" in text


def test_a_pod_that_is_not_ready_is_a_problem() -> None:
    assert "prefect-server has 0 of 1 pods ready" in problems([workload("prefect-server", ready=None), *ALL[1:]])


def test_a_part_that_was_deleted_is_a_problem() -> None:
    assert "Deployment dask-reaper does not exist" in problems(ALL[:-1])


def test_deployments_that_differ_from_prefect_yaml_are_named() -> None:
    spec = DeploymentSpec(name="new", flow_name="f", entrypoint="flows.f.f")
    plan = Plan(settings=SETTINGS, deployments={"dask": (spec,)})
    text = "\n".join(map(str, checkup.deployments(plan, {"deployments": {"f/old": "id"}}, "dev")))
    assert "Not registered yet: f/new" in text
    assert "no longer in prefect.yaml: f/old" in text
    assert list(checkup.deployments(plan, {"deployments": {"f/new": "id"}}, "dev")) == []


class Cluster:
    """Kubernetes with a CRD of an older release, and an operator of this project."""

    def __init__(self, environment: Any) -> None:
        assert environment == {"KUBECONFIG": "k"}

    def list(self, kind: str, *, version: str, namespace: str = "") -> list[dict[str, Any]]:
        if kind == "customresourcedefinitions":
            marks = {"annotations": {naming.DASK_VERSION: "2025.1.0"}}
            return [{"metadata": {"name": "daskclusters.kubernetes.dask.org", **marks}}]
        assert (kind, version, namespace) == ("deployments", "apps/v1", "flows")
        return []


class Api:
    """A Prefect server of an older release."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def get(self, path: str) -> httpx.Response:
        assert path == "admin/version"
        request = httpx.Request("GET", f"http://server/{path}")
        return httpx.Response(200 if isinstance(self._answer, str) else 500, json=self._answer, request=request)


def versions(monkeypatch: pytest.MonkeyPatch, answer: Any) -> list[str]:
    stack: Any = SimpleNamespace(environment={"KUBECONFIG": "k"}, name="dev")
    monkeypatch.setattr(checkup, "Kubernetes", Cluster)
    monkeypatch.setattr(checkup, "prefect_api", lambda *_: nullcontext("http://server"))
    monkeypatch.setattr(checkup, "_client", lambda *_: Api(answer))
    return [str(each) for each in checkup._versions(stack, SETTINGS)]


def test_a_server_and_crds_of_another_release_are_named_with_what_would_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    crds, server = versions(monkeypatch, "3.0.1")
    assert crds.startswith("CRD daskclusters.kubernetes.dask.org is of dask-kubernetes 2025.1.0")
    assert server.startswith("The Prefect server has version 3.0.1")
    assert "pin prefect==3.0.1" in server


def test_a_server_that_does_not_say_its_version_is_left_to_the_check_of_the_api(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert len(versions(monkeypatch, {"error": True})) == 1
