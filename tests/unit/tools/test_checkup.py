from __future__ import annotations

from typing import Any

from infra import settings
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
