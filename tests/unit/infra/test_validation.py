from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ephemeral_dask.contract import profiles
from infra import job_template, validation
from infra.prefect_yaml.load import DeploymentError
from infra.settings import Settings, SettingsError
from infra.specs.automation import AutomationSpec
from infra.specs.deployment import DeploymentSpec
from tools.paths import ROOT

STACK: dict[str, Any] = {
    "image": {"registry": "localhost:5001", "builder": "docker-build"},
    "dask": {"profiles": {"large": {"maximum": 8}, "small": {}}},
}
PREFECT_YAML = """\
deployments:
  - name: nightly
    entrypoint: flows.etl.etl
"""
FLOW = """\
from prefect import flow


@flow
def etl():
    pass
"""


def settings(**values: Any) -> Settings:
    return validation.load_settings({**STACK, **values}, stack="dev")


def errors(spec: DeploymentSpec, **values: Any) -> list[str]:
    checked = settings(**values)
    return validation.job_variable_errors(spec, job_template.variables_schema(checked, "dask"), checked)


def deployment(**job_variables: Any) -> DeploymentSpec:
    return DeploymentSpec(flow_name="etl", name="nightly", entrypoint="flows.etl.etl", job_variables=job_variables)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "etl.py").write_text(FLOW)
    (tmp_path / "prefect.yaml").write_text(PREFECT_YAML)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "flows.txt").write_text(f"prefect==3.8.8 --hash=sha256:{'0' * 64}\n")
    return tmp_path


def test_an_unknown_profile_is_refused_with_the_message_of_a_run() -> None:
    [error] = errors(deployment(dask_profile="hughe"))
    assert error == profiles.unknown("hughe", ["small", "large"], "deployment 'etl/nightly'")
    assert "choose one of large, small" in error


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"dask_minimum": 4, "dask_maximum": 2}, "maximum is 2 and minimum is 4: raise the maximum"),
        ({"dask_worker_memory": "64Mi"}, "job variable 'dask_worker_memory' must be at least 384Mi"),
        ({"dask_worker_cpu": "half"}, "job variable 'dask_worker_cpu' must be a Kubernetes quantity"),
        ({"dask_maximun": 3}, "is not in the work pool's template; did you mean 'dask_maximum'?"),
        ({"dask_maximum": "3"}, "job variable 'dask_maximum' "),
        ({"dask_maximum": 17}, "job variable 'dask_maximum' is above the stack's dask.ceiling (16); correct it"),
        ({"dask_minimum": 17}, "job variable 'dask_minimum' is above the stack's dask.ceiling (16); correct it"),
        ({"dask_idle_timeout": 1}, "job variable 'dask_idle_timeout' "),
    ],
)
def test_job_variables_that_no_run_could_have_are_refused(variables: dict[str, Any], sentence: str) -> None:
    [error] = errors(deployment(**variables))
    assert error.startswith("deployment 'etl/nightly': ")
    assert sentence in error


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"dask_profile": "large", "dask_minimum": 9},
        {"dask_profile": "{{ $SIZE }}"},
        {"dask_worker_memory": "{{ prefect.variables.memory }}"},
        {"dask_maximum": "{{ prefect.variables.size }}", "image": "a:1"},
        {"dask_maximum": 2},
    ],
)
def test_job_variables_that_a_run_can_have_or_that_are_still_references_pass(variables: dict[str, Any]) -> None:
    assert errors(deployment(**variables)) == []


def test_job_variables_of_a_trigger_are_checked_as_well() -> None:
    trigger = AutomationSpec(
        name="t", trigger={"type": "event"}, actions=({"type": "run-deployment", "job_variables": {"imag": "a:1"}},)
    )
    [error] = errors(DeploymentSpec(flow_name="f", name="d", entrypoint="x.y", triggers=(trigger,)))
    assert "trigger 't': job variable 'imag' is not in" in error
    assert "'image'" in error


def test_every_mistake_of_the_deployments_is_reported_at_once(project: Path) -> None:
    (project / "prefect.yaml").write_text(
        PREFECT_YAML
        + "    work_pool: {job_variables: {dask_maximum: 99, imag: x}}\n"
        + "  - {name: other, entrypoint: flows.etl.etl, work_pool: {name: gpu}}\n"
    )
    with pytest.raises(DeploymentError) as caught:
        validation.load_plan(project, settings(), stack="dev")
    text = str(caught.value)
    assert "names work pool 'gpu', and this stack has only dask" in text
    assert "dask.ceiling (16)" in text
    assert "'imag'" in text


def test_an_import_that_the_lock_of_the_flow_image_lacks_is_refused_with_its_remedy(project: Path) -> None:
    flow = project / "flows" / "etl.py"
    flow.write_text(f"import polars\n{FLOW}")
    with pytest.raises(DeploymentError, match=r"flows.etl imports polars.*run make lock"):
        validation.load_plan(project, settings(), stack="dev")
    provided = {**STACK["image"], "flow": {"provides": ["polars"]}}
    assert validation.load_plan(project, settings(image=provided), stack="dev").deployments["dask"]
    prebuilt = {"builder": "prebuilt", "flow": f"a@sha256:{'a' * 64}", "platform": f"b@sha256:{'b' * 64}"}
    assert validation.load_plan(project, settings(image=prebuilt), stack="dev").deployments["dask"]


def test_code_that_the_flow_image_does_not_hold_is_refused_with_the_key_of_the_image(project: Path) -> None:
    (project / "jobs").mkdir()
    (project / "flows" / "etl.py").rename(project / "jobs" / "etl.py")
    (project / "prefect.yaml").write_text(PREFECT_YAML.replace("flows.etl.etl", "jobs/etl.py:etl"))
    with pytest.raises(DeploymentError, match=r"starts in jobs/etl.py.*set image.flow.packages to \[flows, jobs\]"):
        validation.load_plan(project, settings(), stack="dev")
    image = {**STACK["image"], "flow": {"packages": ["jobs"]}, "flows": {"gpu": {}}}
    [spec] = validation.load_plan(project, settings(image=image), stack="dev").deployments["dask"]
    assert spec.entrypoint == "jobs.etl.etl"
    with pytest.raises(DeploymentError, match=r"set image.flows.gpu.packages to \[flows, jobs\]"):
        validation.load_plan(project, settings(image=image, workPools={"dask": {"image": "gpu"}}), stack="dev")


def test_a_flow_of_a_src_layout_is_registered_under_the_name_of_its_package(project: Path) -> None:
    package = project / "src" / "acme"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "model.py").write_text("from enum import Enum\nclass Size(Enum):\n    ROWS = 'rows'")
    source = FLOW.replace("def etl():", "def etl(size: Size):")
    (package / "etl.py").write_text(f"from acme.model import Size\n{source}")
    (project / "prefect.yaml").write_text(PREFECT_YAML.replace("flows.etl.etl", "src/acme/etl.py:etl"))
    with pytest.raises(DeploymentError, match=r"set image.flow.packages to \[flows, src/acme\]"):
        validation.load_plan(project, settings(), stack="dev")
    for packages in (["src"], ["src/acme"]):
        image = {**STACK["image"], "flow": {"packages": packages}}
        [spec] = validation.load_plan(project, settings(image=image), stack="dev").deployments["dask"]
        assert spec.entrypoint == "acme.etl.etl"
        assert "rows" in str(spec.parameter_schema)


def test_a_requirements_file_that_does_not_exist_is_refused_with_the_stacks_file(project: Path) -> None:
    image = {**STACK["image"], "flows": {"gpu": {"requirements": "requirements/gpu.txt"}}}
    with pytest.raises(
        SettingsError, match=r"Pulumi.dev.yaml(.|\n)*:image.flows.gpu.requirements: requirements/gpu.txt"
    ):
        validation.load_plan(project, settings(image=image), stack="dev")
    (project / "requirements" / "gpu.txt").write_text("prefect==3.8.8\n")
    assert validation.load_plan(project, settings(image=image), stack="dev")


def test_the_images_of_runs_that_clone_a_repository_are_known(project: Path) -> None:
    def images(pull: str) -> frozenset[str | None]:
        (project / "prefect.yaml").write_text(f"{PREFECT_YAML}    work_pool: {{name: b}}\n    pull: {pull}\n")
        image = {**STACK["image"], "flows": {"gpu": {}}}
        pools = {"a": {}, "b": {"image": "gpu"}}
        return validation.load_plan(project, settings(image=image, workPools=pools), stack="dev").images_with_git

    assert images("[]") == frozenset()
    assert images("[{prefect.deployments.steps.set_working_directory: {directory: /opt}}]") == frozenset()
    for name in ("prefect.deployments.steps.git_clone", "prefect.deployments.steps.pull.agit_clone"):
        assert images(f"[{{{name}: {{repository: 'https://example.com/flows.git'}}}}]") == {"gpu"}


def test_an_automation_that_names_an_undeclared_object_is_refused(project: Path) -> None:
    action = {"type": "run-deployment", "deployment": "etl/nightli"}
    automations = {"mine": {"trigger": {"expect": ["a"]}, "actions": [action]}}
    with pytest.raises(SettingsError, match="did you mean 'etl/nightly'"):
        validation.load_plan(project, settings(automations=automations), stack="dev")


def test_a_plan_has_every_pool_and_the_queues_that_deployments_name(project: Path) -> None:
    (project / "prefect.yaml").write_text(PREFECT_YAML + "    work_pool: {name: b, work_queue_name: slow}\n")
    pools = {"a": {"workQueues": {"fast": {}}}, "b": {}}
    plan = validation.load_plan(project, settings(workPools=pools), stack="dev")
    assert [(pool, [spec.key for spec in specs]) for pool, specs in plan.deployments.items()] == [
        ("a", []),
        ("b", ["etl/nightly"]),
    ]
    assert (set(plan.queues("a")), set(plan.queues("b"))) == ({"fast"}, {"slow"})


def test_a_quota_that_cannot_hold_a_run_is_refused_with_the_stacks_file() -> None:
    with pytest.raises(SettingsError, match=r"Pulumi.dev.yaml is not valid(.|\n)*ephemeral-dask:quota holds 1 cores"):
        settings(quota={"cpu": "1", "memory": "1Gi"})


@pytest.mark.parametrize(
    "pods",
    [
        {"volumes": {"all": {"mountPath": "/mnt/all", "claim": "kept"}}},
        {"patch": {"spec": {"volumes": [{"name": "all", "persistentVolumeClaim": {"claimName": "kept"}}]}}},
    ],
)
def test_a_further_mount_of_the_result_volume_is_refused_unless_deployments_share_it(pods: dict[str, Any]) -> None:
    results = {"store": "volume", "existingClaim": "kept"}
    with pytest.raises(SettingsError, match=r"dask.workerPod\S*: the claim 'kept' holds the task results of all depl"):
        settings(results=results, dask={"workerPod": pods})
    settings(results={**results, "shared": True}, dask={"workerPod": pods})
    settings(results={"store": "volume"}, dask={"workerPod": pods})


def test_the_checks_import_neither_pulumi_nor_prefect() -> None:
    program = (
        "import sys\nimport infra.validation\n"
        "print([name for name in ('pulumi', 'prefect', 'httpx', 'flows') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_warnings_about_prefect_yaml_are_errors_in_a_strict_stack(project: Path) -> None:
    (project / "prefect.yaml").write_text(f"{PREFECT_YAML}    retries: 3\n")
    warnings: list[str] = []
    validation.load_plan(project, settings(), stack="dev", warn=warnings.append)
    assert len(warnings) == 1
    with pytest.raises(DeploymentError, match=r"prefect\.yaml:4: .*'retries' has no effect.*the stack sets `strict`"):
        validation.load_plan(project, settings(strict=True), stack="dev", warn=warnings.append)
    assert len(warnings) == 1


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"env": {"PREFECT_API_URL": "x"}}, "job variable 'env' contains PREFECT_API_URL, which the platform sets"),
        ({"cpu_request": "many"}, "job variable 'cpu_request' must be a Kubernetes quantity above zero"),
        ({"memory_limit": 0.5}, "job variable 'memory_limit' must be a Kubernetes quantity above zero"),
        ({"dask_worker_cpu": 0}, "job variable 'dask_worker_cpu' must be a Kubernetes quantity above zero"),
    ],
)
def test_a_job_variable_that_no_pod_could_have_is_refused(variables: dict[str, Any], sentence: str) -> None:
    checked = settings()
    schema = job_template.variables_schema(checked, "dask")
    spec = DeploymentSpec(flow_name="etl", name="nightly", entrypoint="flows.etl.etl", job_variables=variables)
    [error] = validation.job_variable_errors(spec, schema, checked)
    assert sentence in error


def test_a_number_is_a_quantity_and_other_variables_are_the_users() -> None:
    checked = settings()
    schema = job_template.variables_schema(checked, "dask")
    variables = {"cpu_request": 2, "cpu_limit": 0.5, "memory_request": 2**30, "dask_worker_cpu": 2, "env": {"A": "b"}}
    spec = DeploymentSpec(flow_name="etl", name="nightly", entrypoint="flows.etl.etl", job_variables=variables)
    assert validation.job_variable_errors(spec, schema, checked) == []


def test_a_patch_that_kubernetes_would_refuse_stops_the_stack_before_pulumi() -> None:
    with pytest.raises(SettingsError, match=r"ephemeral-dask:dask.workerPod: spec.dnsPolcy is not a field"):
        settings(dask={"workerPod": {"patch": {"spec": {"dnsPolcy": "Default"}}}})
