from __future__ import annotations

import asyncio
import re
from typing import Any

import jsonschema
import pytest
from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import knobs, pods, profiles, security
from ephemeral_dask.contract.pods import PodExtras, RunPods
from ephemeral_dask.contract.secrets import SecretRef
from ephemeral_dask.pod_context import PodContext
from infra import job_template, naming
from infra.settings import (
    BlockResults,
    Dask,
    DaskProfile,
    FlowRun,
    LargeWorkers,
    NoResults,
    Prices,
    Results,
    Toleration,
    VolumeResults,
)

IMAGE = "registry.example.com/flow@sha256:" + "a" * 64


@pytest.fixture
def template() -> dict[str, Any]:
    return build()


def build(
    credential: dict[str, SecretRef] | None = None, results: Results | None = None, **dask: Any
) -> dict[str, Any]:
    return job_template.build(
        job_template.JobTemplateArgs(
            namespace="flows",
            image=IMAGE,
            flow_run=FlowRun(),
            dask=Dask(ceiling=20, **dask),
            results=results or NoResults(),
            credential=credential or {},
        )
    )


def configured(template: dict[str, Any], **values: Any) -> KubernetesWorkerJobConfiguration:
    """What Prefect's own worker makes of the template, without a server: the template refers to none."""
    no_server: Any = object()
    made = KubernetesWorkerJobConfiguration.from_template_and_values(template, values, client=no_server)
    return asyncio.run(made)


def placeholders(value: Any) -> set[str]:
    return set(re.findall(r"{{ (\w+) }}", str(value)))


def test_every_placeholder_is_a_variable_and_every_variable_is_used(template: dict[str, Any]) -> None:
    used = placeholders(template["job_configuration"])
    # `env` is merged into job_configuration.env by the worker without a placeholder.
    assert used | {"env"} == set(template["variables"]["properties"])


def test_the_worker_accepts_the_template_without_any_job_variable(template: dict[str, Any]) -> None:
    configuration = configured(template)
    container = configuration.job_manifest["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == IMAGE
    assert configuration.namespace == "flows"


def test_an_unset_size_leaves_no_variable_in_the_flow_pod(template: dict[str, Any]) -> None:
    configuration = configured(template)
    assert knobs.MAXIMUM.variable not in configuration.env
    assert configuration.env[knobs.MAXIMUM.default_variable] == "4"


def test_a_number_given_as_job_variable_reaches_the_pod_as_a_string(template: dict[str, Any]) -> None:
    assert configured(template, dask_maximum=7).env[knobs.MAXIMUM.variable] == "7"


def test_a_deployments_own_environment_is_added_to_the_platforms(template: dict[str, Any]) -> None:
    configuration = configured(template, env={"GREETING": "hello"})
    assert configuration.env["GREETING"] == "hello"
    assert configuration.env[env.NAMESPACE] == "flows"


def test_flow_pods_enable_the_plugin_of_the_package_and_no_other_unless_the_stack_names_it() -> None:
    environment = configured(build()).env
    assert (environment["PREFECT_PLUGINS_ENABLED"], environment["PREFECT_PLUGINS_ALLOW"]) == ("true", env.PLUGIN)
    both = f"{env.PLUGIN},mine"
    assert configured(with_pods(env={"PREFECT_PLUGINS_ALLOW": both})).env["PREFECT_PLUGINS_ALLOW"] == both


def test_dask_pods_get_the_image_that_the_run_was_given(template: dict[str, Any]) -> None:
    assert configured(template, image="other@sha256:" + "b" * 64).env[env.IMAGE].startswith("other@")


def test_the_flow_pod_knows_its_job_and_its_deployment(template: dict[str, Any]) -> None:
    [container] = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]["containers"]
    paths = {each["name"]: each["valueFrom"]["fieldRef"]["fieldPath"] for each in container["env"]}
    assert paths == {
        env.JOB_NAME: "metadata.labels['batch.kubernetes.io/job-name']",
        env.JOB_UID: "metadata.labels['batch.kubernetes.io/controller-uid']",
        env.DEPLOYMENT: "metadata.labels['prefect.io/deployment-name']",
    }


@pytest.mark.parametrize("tls", [True, False])
def test_the_stack_alone_decides_whether_dask_clusters_have_certificates(tls: bool) -> None:
    made = build(tls=tls)
    assert (made["job_configuration"]["env"].get(env.TLS) == "true") is tls
    assert not [name for name in made["variables"]["properties"] if "tls" in name]


def test_workers_beyond_the_stacks_ceiling_are_outside_the_schema(template: dict[str, Any]) -> None:
    assert template["variables"]["properties"]["dask_maximum"]["maximum"] == 20


def test_sizes_have_no_default_in_the_template_that_would_hide_what_the_code_sets(template: dict[str, Any]) -> None:
    for variable in knobs.JOB_VARIABLES:
        assert "default" not in template["variables"]["properties"][variable.name]


def test_the_flow_pod_keeps_the_restricted_pod_security_standard(template: dict[str, Any]) -> None:
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    container = pod["containers"][0]["securityContext"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert container["allowPrivilegeEscalation"] is False


def test_the_flow_pod_runs_as_its_own_account_and_has_time_to_end_its_cluster(template: dict[str, Any]) -> None:
    pod = template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == naming.FLOW_RUN
    assert pod["terminationGracePeriodSeconds"] >= 90


def test_a_finished_job_is_deleted_with_the_objects_that_it_owns(template: dict[str, Any]) -> None:
    assert configured(template).job_manifest["spec"]["ttlSecondsAfterFinished"] == 60


def test_the_template_contains_a_reference_to_the_credential_and_never_its_value() -> None:
    configuration = configured(build({"PREFECT_API_KEY": SecretRef(name="prefect-api", key="credential")}))
    assert configuration.env[env.API_SECRET_NAME] == "prefect-api"
    assert "PREFECT_API_KEY" not in configuration.env


LARGE = DaskProfile(
    maximum=12,
    worker_cpu="2",
    nanny=False,
    env={"GREETING": "{{ hello }}"},
    tolerations=(Toleration(key="spot", operator="Exists", effect="NoExecute", toleration_seconds=30),),
    large_workers=LargeWorkers(maximum=2, cpu="8", memory="64Gi", tolerations=(Toleration(operator="Exists"),)),
)


def test_a_profile_reaches_the_flow_pod_as_the_stack_wrote_it_even_with_braces_in_it() -> None:
    configuration = configured(build(profiles={"large": LARGE}), dask_profile="large")
    assert configuration.env[knobs.PROFILE.variable] == "large"
    [arrived] = profiles.decode(configuration.env[env.PROFILES]).values()
    assert arrived == LARGE.contract()
    assert arrived.sizes == {"maximum": 12, "worker_cpu": "2"}
    assert arrived.pod.tolerations == (LARGE.tolerations[0].manifest(),)


def test_only_the_stacks_profiles_are_in_the_schema_of_their_variable() -> None:
    offered = build(profiles={"large": LARGE, "a": DaskProfile()})["variables"]["properties"]
    assert offered["dask_profile"]["enum"] == ["a", "large"]
    assert offered["dask_scaling"]["enum"] == ["fast", "cheap"]
    assert "enum" not in build()["variables"]["properties"]["dask_profile"]


def test_without_a_result_store_the_flow_pod_has_no_setting_for_one() -> None:
    configuration = configured(build())
    assert not [name for name in configuration.env if "RESULT" in name or "STORAGE" in name]


@pytest.mark.parametrize(("existing", "claim"), [(None, naming.RESULTS), ("shared", "shared")])
def test_a_result_volume_is_mounted_writable_and_is_where_prefect_keeps_results(
    existing: str | None, claim: str
) -> None:
    configuration = configured(build(results=VolumeResults(store="volume", existing_claim=existing)))
    pod = configuration.job_manifest["spec"]["template"]["spec"]
    [mount] = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "results"]
    assert {"name": "results", "persistentVolumeClaim": {"claimName": claim}} in pod["volumes"]
    assert pod["securityContext"]["fsGroup"] == security.GROUP
    assert configuration.env["PREFECT_RESULTS_PERSIST_BY_DEFAULT"] == "true"
    assert configuration.env["PREFECT_LOCAL_STORAGE_PATH"] == mount["mountPath"] == configuration.env[env.RESULTS_PATH]
    assert configuration.env[env.RESULTS_CLAIM] == claim


def test_a_flow_pod_has_the_folder_of_its_deployment_unless_the_volume_is_shared() -> None:
    mounts = {}
    for shared in (False, True):
        configuration = configured(build(results=VolumeResults(store="volume", shared=shared)))
        container = configuration.job_manifest["spec"]["template"]["spec"]["containers"][0]
        [mount] = [each for each in container["volumeMounts"] if each["name"] == "results"]
        ids = [each["valueFrom"] for each in container["env"] if each["name"] == env.DEPLOYMENT_ID]
        mounts[shared] = (mount.get("subPathExpr"), ids)
    label = {"fieldRef": {"fieldPath": "metadata.labels['prefect.io/deployment-id']"}}
    assert mounts == {False: (f"deployment-$({env.DEPLOYMENT_ID})", [label]), True: (None, [])}


def test_an_object_store_is_referenced_by_its_block_and_needs_no_volume() -> None:
    configuration = configured(build(results=BlockResults(store="block", block="s3-bucket/results")))
    assert configuration.env["PREFECT_DEFAULT_RESULT_STORAGE_BLOCK"] == "s3-bucket/results"
    volumes = configuration.job_manifest["spec"]["template"]["spec"]["volumes"]
    assert [each["name"] for each in volumes] == ["tmp"]


SECRET_ENV = {"PGPASSWORD": {"name": "warehouse", "key": "password"}}


def with_pods(**flow: Any) -> dict[str, Any]:
    args = job_template.JobTemplateArgs(
        namespace="flows",
        image=IMAGE,
        flow_run=FlowRun(),
        dask=Dask(),
        credential={},
        pods=RunPods(flow=PodExtras(**flow)),
    )
    return job_template.build(args)


def flow_container(configuration: KubernetesWorkerJobConfiguration) -> dict[str, Any]:
    configuration._populate_env_in_manifest()
    container: dict[str, Any] = configuration.job_manifest["spec"]["template"]["spec"]["containers"][0]
    return container


def test_the_additions_are_in_the_flow_pod_and_on_their_way_to_the_dask_pods() -> None:
    extras = {
        "env": {"GREETING": "hello", "PREFECT_LOGGING_LEVEL": "DEBUG"},
        "secret_env": SECRET_ENV,
        "env_from": ({"configMapRef": {"name": "app"}},),
        "volumes": {"shm": {"source": {"emptyDir": {"medium": "Memory"}}, "mount": {"mountPath": "/dev/shm"}}},
        "resources": {"nvidia.com/gpu": "1"},
        "labels": {"team": "data"},
    }
    configuration = configured(with_pods(**extras))
    assert pods.decode(configuration.env[env.PODS]) == RunPods(flow=PodExtras(**extras))
    container = flow_container(configuration)
    values = {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}
    assert (values["GREETING"], values["PREFECT_LOGGING_LEVEL"]) == ("hello", "DEBUG")
    # Optional: the flow pod itself says what is missing.
    assert values["PGPASSWORD"] == {"secretKeyRef": {"name": "warehouse", "key": "password", "optional": True}}
    assert container["envFrom"] == [{"configMapRef": {"name": "app", "optional": True}}]
    assert {"name": "shm", "mountPath": "/dev/shm"} in container["volumeMounts"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    labels = configuration.job_manifest["spec"]["template"]["metadata"]["labels"]
    assert labels == {"team": "data", "ephemeral-dask/component": "flow-run"}


def test_without_additions_the_flow_pod_has_no_variable_for_them(template: dict[str, Any]) -> None:
    assert env.PODS not in template["job_configuration"]["env"]


def test_a_deployments_environment_reaches_the_flow_pod_as_a_mapping_for_the_dask_pods() -> None:
    values = {"GREETING": 'it\'s "me"', "COUNT": 3}
    configuration = configured(with_pods(secret_env=SECRET_ENV), env={**values, "PGPASSWORD": "mine"})
    context = PodContext.from_env({**configuration.env, env.NAMESPACE: "flows", env.IMAGE: "i"})
    assert context is not None
    assert context.own_env == {"GREETING": 'it\'s "me"', "COUNT": "3", "PGPASSWORD": "mine"}
    passwords = [each for each in flow_container(configuration)["env"] if each["name"] == "PGPASSWORD"]
    assert passwords == [{"name": "PGPASSWORD", "value": "mine"}]
    assert env.ENV not in configured(build()).env


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "EPHEMERAL_DASK_CEILING", "HOME"])
def test_prefect_refuses_a_variable_of_the_platform(template: dict[str, Any], name: str) -> None:
    schema = template["variables"]["properties"]["env"]
    jsonschema.validate({"GREETING": "hello"}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({name: "x"}, schema)


@pytest.mark.parametrize(
    "variable", ["cpu_request", "cpu_limit", "memory_request", "memory_limit", "dask_worker_cpu", "dask_worker_memory"]
)
def test_prefect_takes_a_number_for_a_quantity(template: dict[str, Any], variable: str) -> None:
    schema = template["variables"]["properties"][variable]
    for value in (2, 0.5, "500m"):
        jsonschema.validate(value, schema)
    for value in (True, 0, [2]):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(value, schema)
    # The defaults' own form.
    configuration = configured(template, **{variable: 2})
    assert "2" in (*map(str, _quantities(configuration)), configuration.env.get(f"EPHEMERAL_{variable.upper()}"))


def _quantities(configuration: KubernetesWorkerJobConfiguration) -> list[Any]:
    resources = configuration.job_manifest["spec"]["template"]["spec"]["containers"][0]["resources"]
    return [*resources["requests"].values(), *resources["limits"].values()]


def test_a_cpu_limit_of_the_stack_is_the_default_of_its_job_variable() -> None:
    template = with_pods(cpu_limit="2")
    assert template["variables"]["properties"]["cpu_limit"]["default"] == "2"
    limits = configured(template, cpu_limit="3").job_manifest["spec"]["template"]["spec"]["containers"][0]["resources"]
    assert limits["limits"]["cpu"] == "3"


def test_a_patch_of_the_flow_pod_may_contain_job_variables() -> None:
    patch = {"spec": {"hostname": "{{ name }}", "containers": [{"name": "prefect-job", "workingDir": "/app"}]}}
    pod = configured(with_pods(patches=(patch,)), name="mine").job_manifest["spec"]["template"]["spec"]
    assert pod["hostname"] == "mine"
    assert [each["workingDir"] for each in pod["containers"]] == ["/app"]


def test_prices_reach_the_flow_pod_only_where_the_stack_has_some() -> None:
    assert env.PRICES not in build()["job_configuration"]["env"]
    args = job_template.JobTemplateArgs(
        namespace="flows",
        image=IMAGE,
        flow_run=FlowRun(),
        dask=Dask(),
        credential={},
        prices=Prices(core_hour=0.03, currency="EUR"),
    )
    environ = configured(job_template.build(args)).env
    context = PodContext.from_env({name: str(value) for name, value in environ.items() if value is not None})
    assert context is not None
    assert context.prices is not None
    assert (context.prices.core_hour, context.prices.currency) == (0.03, "EUR")
