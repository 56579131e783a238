"""Job variables of a work pool's own: from the stack file to the pods of a run, with Prefect's own worker between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.pod_context import PodContext
from ephemeral_dask.settings import CodeSizes, DaskSettings
from ephemeral_dask.spec import dask_cluster
from infra import job_template, job_variables, pod_manifests, settings, validation
from infra.job_template import JobTemplateArgs
from infra.settings import Settings
from infra.specs.deployment import DeploymentSpec

IMAGE = {"registry": "localhost:5001", "builder": "docker-build"}
RUN = RunIdentity(flow="etl", flow_run_id="0198f0c4-1111-7000-8000-000000000000", flow_run_name="daring-mole")
VARIABLES: Mapping[str, Any] = {
    "tier": {"default": "normal", "enum": ["normal", "urgent"]},
    "grace": {"type": "integer"},
    "hosts": {"type": "array", "default": []},
}
PATCH = {"spec": {"priorityClassName": "{{ tier }}-runs", "activeDeadlineSeconds": "{{ grace }}"}}
WORKER = {"spec": {**PATCH["spec"], "hostAliases": "{{ hosts }}"}}


def stack(**values: Any) -> Settings:
    pool = {"jobVariables": VARIABLES, "pods": {"patch": PATCH}}
    dask = {"workerPod": {"patch": WORKER}}
    return validation.load_settings({"image": IMAGE, "workPools": {"dask": pool}, "dask": dask, **values}, stack="dev")


def error(**values: Any) -> str:
    with pytest.raises(settings.SettingsError) as caught:
        stack(**values)
    return str(caught.value)


def pods_of_a_run(**values: Any) -> dict[str, Any]:
    """Return the specs of flow pod, scheduler and worker of a run with these job variables."""
    template = job_template.build(JobTemplateArgs.of(stack(), "dask", image="i@sha256:1", credential={}))
    no_server: Any = object()
    made = KubernetesWorkerJobConfiguration.from_template_and_values(template, values, client=no_server)
    job = asyncio.run(made)
    context = PodContext.from_env({name: value for name, value in job.env.items() if value is not None})
    assert context is not None
    cluster = dask_cluster("etl-1", run=RUN, context=context, settings=DaskSettings.from_env({}, CodeSizes()))
    dask = {role: cluster["spec"][role]["spec"] for role in ("scheduler", "worker")}
    return {"flow": job.job_manifest["spec"]["template"]["spec"], **dask}


def test_a_value_of_a_run_is_in_all_three_pods_with_its_type() -> None:
    hosts = [{"ip": "10.9.8.7", "hostnames": ["a 'quoted' name"]}]
    pods = pods_of_a_run(tier="urgent", grace=7, hosts=hosts)
    for pod in pods.values():
        assert (pod["priorityClassName"], pod["activeDeadlineSeconds"]) == ("urgent-runs", 7)
    assert pods["worker"]["hostAliases"] == hosts


def test_without_a_value_the_default_applies_or_the_field_is_left_out() -> None:
    for pod in pods_of_a_run().values():
        assert pod["priorityClassName"] == "normal-runs"
        assert "activeDeadlineSeconds" not in pod


def test_a_value_cannot_undo_the_security_context() -> None:
    pool = {"dask": {"jobVariables": {"network": {"type": "boolean"}}}}
    text = error(workPools=pool, dask={"workerPod": {"patch": {"spec": {"hostNetwork": "{{ network }}"}}}})
    assert "dask.workerPod.patch: would break the restricted Pod Security Standard" in text
    context = {"spec": {"securityContext": {"seccompProfile": {"type": "{{ profile }}"}}}}
    text = error(workPools={"dask": {"pods": {"patch": context}}})
    assert "workPools.dask.pods.patch: spec.securityContext contains a placeholder" in text


def test_a_name_that_every_pool_has_is_refused() -> None:
    for name in ("image", "env", "dask_maximum", "cpu_limit"):
        text = error(workPools={"dask": {"jobVariables": {name: {}}}}, dask={})
        assert f"workPools.dask.jobVariables.{name}: every work pool has a job variable of that name" in text
    assert "use up to 63 lower-case letters" in error(workPools={"dask": {"jobVariables": {"a-b": {}}}}, dask={})


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("flowRun.pod", {"flowRun": {"pod": {"patch": PATCH}}}),
        ("pods", {"pods": {"patch": PATCH}}),
        ("dask.workerPod", {"dask": {"workerPod": {"patch": PATCH}}}),
        ("dask.profiles.p.scheduler", {"dask": {"profiles": {"p": {"scheduler": {"patch": PATCH}}}}}),
    ],
)
def test_a_placeholder_without_a_job_variable_is_refused_with_key_and_pool(key: str, values: dict[str, Any]) -> None:
    pools = {"plain": {"jobVariables": {"grace": VARIABLES["grace"]}}}
    text = error(**{"dask": {}, **values, "workPools": pools})
    assert f"{key}.patch: contains {{{{ tier }}}}, and work pool 'plain' has no job variable" in text
    assert "add it to workPools.plain.jobVariables" in text
    assert "grace" not in text


def test_dask_pods_cannot_use_the_job_variables_of_every_pool() -> None:
    patch = {"patch": {"spec": {"hostname": "{{ name }}"}}}
    assert stack(flowRun={"pod": patch}, workPools={"dask": {}}, dask={})
    assert "contains {{ name }}" in error(dask={"scheduler": patch})


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        ({"type": "integer", "default": "three"}, "jobVariables.x: default must be an integer"),
        ({"enum": ["a"], "default": "b"}, "jobVariables.x: default"),
        ({"type": "integer", "enum": [1, "b"]}, "jobVariables.x: enum must be an integer"),
        ({"pattern": "("}, "jobVariables.x: pattern is not a regular expression"),
        ({"type": "text"}, "jobVariables.x.type"),
        ({"defualt": 1}, "did you mean 'default'?"),
    ],
)
def test_a_variable_that_no_value_could_fit_is_refused(variable: dict[str, Any], sentence: str) -> None:
    assert sentence in error(workPools={"dask": {"jobVariables": {"x": variable}}}, dask={})


def test_a_deployments_value_is_checked_and_rendered_into_what_the_server_is_asked_about() -> None:
    parsed = stack()
    schema = job_template.variables_schema(parsed, "dask")

    def deployment(**variables: Any) -> DeploymentSpec:
        return DeploymentSpec(flow_name="etl", name="n", entrypoint="flows.etl.etl", job_variables=variables)

    [refused] = validation.job_variable_errors(deployment(tier="lazy"), schema, parsed)
    assert "job variable 'tier'" in refused
    assert validation.job_variable_errors(deployment(tier="urgent"), schema, parsed) == []
    made = list(pod_manifests.manifests(parsed, {"dask": (deployment(tier="urgent"),)}))
    tiers = {(each["key"], kind_and_tier(json.loads(each["manifest"]))) for each in made}
    assert tiers >= {
        (key, (kind, tier))
        for key, kind in (("flowRun.pod", "Job"), ("dask.workerPod", "Pod"), ("dask.scheduler", "Pod"))
        for tier in ("normal-runs", "urgent-runs")
    }
    assert "{{" not in "".join(each["manifest"] for each in made)


def kind_and_tier(manifest: Mapping[str, Any]) -> tuple[str, str]:
    spec = manifest["spec"]["template"]["spec"] if manifest["kind"] == "Job" else manifest["spec"]
    return manifest["kind"], spec["priorityClassName"]


def refused(name: str, value: Any, **image: Any) -> str:
    schema = job_template.variables_schema(stack(image={**IMAGE, **image}), "dask")
    ours, prefects = job_variables.value_error(name, value, schema), _error_of_prefect(name, value, schema)
    assert bool(ours) == bool(prefects), (ours, prefects)
    return ours


def _error_of_prefect(name: str, value: Any, schema: Mapping[str, Any]) -> str:
    """Check a value as Prefect's server does when a run is created."""
    errors = jsonschema.Draft202012Validator(schema).iter_errors({name: value})
    return "; ".join(each.message for each in errors)


@pytest.mark.parametrize(
    "label",
    ["ephemeral-dask/component", "dask.org/component", "prefect.io/flow-run-id", "batch.kubernetes.io/job-name"],
)
def test_a_run_cannot_set_a_label_by_which_the_platform_finds_pods(label: str) -> None:
    assert refused("labels", {label: "x"}) == f"contains {label}, which the platform sets: remove it"


@pytest.mark.parametrize("label", ["team", "example.com/dask.org", "app.kubernetes.io/version"])
def test_a_run_can_set_any_other_label(label: str) -> None:
    assert refused("labels", {label: "x"}) == ""


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("cpu_request", ("2", "1.5", "500m", 2, 1.5)),
        ("memory_limit", ("512Mi", "2Gi", 2**30)),
        ("dask_worker_cpu", ("2", "1.5", "500m", 2)),
        ("dask_worker_memory", ("512Mi", "2Gi", 2**30)),
    ],
)
def test_a_quantity_is_checked_by_prefect_before_a_run_is_created(name: str, values: tuple[Any, ...]) -> None:
    for value in ("much", "1 Gi", "-1", "2GB", {"a": 1}):
        assert refused(name, value)
    for value in values:
        assert not refused(name, value)


@pytest.mark.parametrize("name", ["cpu_request", "image"])
def test_a_placeholder_of_prefect_is_filled_in_after_the_check(name: str) -> None:
    schema = job_template.variables_schema(stack(image={**IMAGE, "only": True}), "dask")
    assert _error_of_prefect(name, "{{ prefect.variables.size }}", schema) == ""


@pytest.mark.parametrize("value", ["other@sha256:" + "b" * 64, "localhost:5001/flow:1", "Registry.example.com/a/b:1"])
def test_any_image_can_be_named_where_the_stack_does_not_say_otherwise(value: str) -> None:
    assert refused("image", value) == ""


@pytest.mark.parametrize("value", ["a b", "-flow:1", "$(id)", ""])
def test_a_value_that_cannot_be_an_image_is_refused(value: str) -> None:
    assert refused("image", value).startswith("must be the reference of an image that the work pool takes")


def test_only_images_of_the_stacks_registry_can_be_named_on_request() -> None:
    assert refused("image", "localhost:5001/a/flow:1", only=True) == ""
    for value in ("docker.io/a/flow:1", "localhost:50011/flow:1", "flow:1"):
        assert "the work pool takes: it does not match ^(" in refused("image", value, only=True)
