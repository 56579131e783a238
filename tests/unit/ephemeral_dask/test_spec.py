from __future__ import annotations

import itertools
import json
import math
import re
from dataclasses import replace
from functools import cache
from importlib import resources
from importlib.metadata import entry_points
from typing import Any

import click
import pytest
import yaml
from dask.utils import parse_timedelta

from ephemeral_dask import diagnosis, worker_memory
from ephemeral_dask.contract import labels, ports, secrets, security, tls
from ephemeral_dask.contract.pods import PodExtras, RunPods
from ephemeral_dask.contract.profiles import LargeWorkers, Profile, Scheduler
from ephemeral_dask.contract.secrets import SecretRef
from ephemeral_dask.identity import RunIdentity
from ephemeral_dask.pod_context import Credential, Owner, PodContext, ResultVolume
from ephemeral_dask.settings import CodeSizes, DaskSettings, SettingsError
from ephemeral_dask.spec import dask_cluster, large_worker_group

RUN = RunIdentity(flow="My Flow", flow_run_id="0198f0c4-1111-7000-8000-000000000000", flow_run_name="daring Mole")
CONTEXT = PodContext(
    namespace="flows",
    image="registry/flow@sha256:1",
    service_account="dask",
    owner=Owner(name="job-1", uid="u-1"),
    credential=Credential(variable="PREFECT_API_AUTH_STRING", secret=SecretRef("prefect", "auth")),
    deployment="nightly",
    passed_on={"PREFECT_API_URL": "http://server.flows:4200/api"},
)
SETTINGS = DaskSettings.from_env(
    {}, CodeSizes(minimum=2, maximum=6, worker_cpu="250m", worker_memory="1Gi", worker_threads=3)
)


def manifest(context: PodContext = CONTEXT, run: RunIdentity = RUN) -> dict[str, Any]:
    return dask_cluster("etl-1", run=run, context=context, settings=SETTINGS)


def pod(role: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifest()["spec"][role]["spec"]
    return spec


def container(role: str) -> dict[str, Any]:
    (only,) = pod(role)["containers"]
    part: dict[str, Any] = only
    return part


def variables(role: str) -> dict[str, Any]:
    return {one["name"]: one.get("value", one.get("valueFrom")) for one in container(role)["env"]}


roles = pytest.mark.parametrize("role", ["scheduler", "worker"])


@roles
def test_every_pod_passes_the_restricted_pod_security_standard(role: str) -> None:
    spec, one = pod(role), container(role)
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert one["securityContext"]["allowPrivilegeEscalation"] is False
    assert one["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert all(set(volume) <= {"name", "emptyDir"} for volume in spec["volumes"])
    assert not any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC"))


@pytest.mark.parametrize(("user", "expected"), [(54321, {"runAsUser": 54321}), (None, {})])
def test_every_pod_runs_as_the_user_of_the_flow_pod(user: int | None, expected: dict[str, int]) -> None:
    spec = manifest(replace(CONTEXT, user=user))["spec"]
    for role in ("scheduler", "worker"):
        context = spec[role]["spec"]["securityContext"]
        assert {name: value for name, value in context.items() if name == "runAsUser"} == expected


@roles
def test_every_pod_writes_only_to_its_scratch_folder_and_looks_for_its_home_there(role: str) -> None:
    one = container(role)
    assert one["securityContext"]["readOnlyRootFilesystem"] is True
    (mount,) = one["volumeMounts"]
    for name in ("HOME", "PREFECT_HOME", "DASK_TEMPORARY_DIRECTORY"):
        assert variables(role)[name].startswith(mount["mountPath"])


@roles
def test_no_pod_holds_a_kubernetes_credential(role: str) -> None:
    assert pod(role)["automountServiceAccountToken"] is False
    assert pod(role)["serviceAccountName"] == "dask"


@roles
def test_every_pod_runs_the_runs_own_image(role: str) -> None:
    assert container(role)["image"] == CONTEXT.image


def test_workers_have_the_prefect_credential_by_reference_and_schedulers_have_none() -> None:
    assert variables("worker")["PREFECT_API_URL"] == "http://server.flows:4200/api"
    assert variables("worker")["PREFECT_API_AUTH_STRING"] == {"secretKeyRef": {"name": "prefect", "key": "auth"}}
    assert CONTEXT.credential is not None
    secret = CONTEXT.credential.secret.name
    holding = {role: len(re.findall(f"['\"]{secret}['\"]", str(pod(role)))) for role in ("scheduler", "worker")}
    assert holding == {"scheduler": 0, "worker": 1}
    assert "envFrom" not in container("scheduler")
    assert not set(variables("scheduler")) & set(secrets.CREDENTIAL_VARIABLES)


def test_large_workers_have_the_prefect_credential_too() -> None:
    worker = replace(SETTINGS.worker, takes_large=True)
    group = large_worker_group("etl-1", "uid", worker, run=RUN, context=CONTEXT)
    [one] = group["spec"]["worker"]["spec"]["containers"]
    assert [each["name"] for each in one["env"] if "valueFrom" in each] == ["PREFECT_API_AUTH_STRING"]


@roles
def test_every_environment_value_is_a_string_because_kubernetes_refuses_numbers(role: str) -> None:
    assert all(isinstance(one["value"], str) for one in container(role)["env"] if "value" in one)
    assert all(isinstance(one, str) for one in container(role)["args"])


@roles
def test_every_pod_has_requests_and_a_memory_limit_and_no_cpu_limit(role: str) -> None:
    resources_ = container(role)["resources"]
    assert set(resources_["requests"]) == {"cpu", "memory"}
    assert set(resources_["limits"]) == {"memory"}


def test_results_leave_room_for_the_process_unless_a_deployment_says_otherwise() -> None:
    name = "DASK_DISTRIBUTED__WORKER__MEMORY__TARGET"
    assert env_of(with_pods(own_env={name: "0.5"})["worker"])[name] == "0.5"
    limit = container("worker")["args"][container("worker")["args"].index("--memory-limit") + 1]
    assert variables("worker")[name] == str(worker_memory.target(int(limit)))


def test_the_cluster_starts_with_the_minimum_of_workers_at_once() -> None:
    assert manifest()["spec"]["worker"]["replicas"] == 2


def test_worker_and_nanny_listen_on_the_ports_of_the_contract() -> None:
    args = container("worker")["args"]
    for option, port in (("--worker-port", ports.WORKER_COMM), ("--nanny-port", ports.NANNY_COMM)):
        assert args[args.index(option) + 1] == str(port)
    opened = {one["containerPort"] for role in ("scheduler", "worker") for one in container(role)["ports"]}
    assert opened == {
        ports.SCHEDULER_COMM,
        ports.SCHEDULER_HTTP,
        ports.SCHEDULER_METRICS,
        ports.WORKER_HTTP,
        ports.NANNY_COMM,
        ports.WORKER_COMM,
    }


def test_a_worker_pod_is_one_worker_named_as_the_operator_knows_it() -> None:
    args = container("worker")["args"]
    assert args[args.index("--nworkers") + 1] == "1"
    assert args[args.index("--name") + 1] == "$(DASK_WORKER_NAME)"
    assert args[args.index("--nthreads") + 1] == "3"


def test_dask_ends_a_worker_that_grows_before_the_kernel_ends_its_pod() -> None:
    args = container("worker")["args"]
    limit = int(args[args.index("--memory-limit") + 1])
    assert SETTINGS.worker.memory_bytes * 0.75 < limit < SETTINGS.worker.memory_bytes


def profiled(profile: Profile) -> dict[str, Any]:
    made = dask_cluster("etl-1", run=RUN, context=CONTEXT, settings=replace(SETTINGS, profile=profile))
    spec: dict[str, Any] = made["spec"]
    return spec


def test_a_profiles_placement_is_the_workers_and_its_environment_and_files_are_the_schedulers_too() -> None:
    toleration = {"key": "spot", "operator": "Exists"}
    extras = PodExtras(node_selector={"pool": "spot"}, tolerations=(toleration,), env={"GDAL_CACHEMAX": "64"})
    spec = profiled(Profile(pod=extras))
    worker, scheduler = spec["worker"]["spec"], spec["scheduler"]["spec"]
    assert (worker["nodeSelector"], worker["tolerations"]) == ({"pool": "spot"}, [toleration])
    assert not {"nodeSelector", "tolerations"} & set(scheduler)
    for one in (worker, scheduler):
        assert {"name": "GDAL_CACHEMAX", "value": "64"} in one["containers"][0]["env"]


LARGE = LargeWorkers(
    maximum=2,
    cpu="4",
    memory="16Gi",
    threads=2,
    pod=PodExtras(env={"MODEL": "whole"}, node_selector={"pool": "big"}),
)


def large_group() -> dict[str, Any]:
    worker = replace(SETTINGS, profile=Profile(pod=PodExtras(env={"GDAL_CACHEMAX": "64"}), large=LARGE)).large_worker
    assert worker is not None
    return large_worker_group("etl-1", "uid-1", worker, run=RUN, context=CONTEXT)


def test_the_second_worker_group_starts_empty_with_workers_of_its_own_size_and_goes_with_its_cluster() -> None:
    made = large_group()
    assert made["metadata"]["name"] == "etl-1-large"
    assert made["metadata"]["labels"] == manifest()["metadata"]["labels"]
    [owner] = made["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("DaskCluster", "etl-1", "uid-1")
    assert (made["spec"]["cluster"], made["spec"]["worker"]["replicas"]) == ("etl-1", 0)
    spec = made["spec"]["worker"]["spec"]
    [one] = spec["containers"]
    assert spec["nodeSelector"] == {"pool": "big"}
    assert one["resources"] == {"requests": {"cpu": "4", "memory": "16Gi"}, "limits": {"memory": "16Gi"}}
    values = {each["name"]: each.get("value") for each in one["env"]}
    assert (values["GDAL_CACHEMAX"], values["MODEL"]) == ("64", "whole")


def test_no_field_of_the_second_worker_group_is_dropped_by_the_locked_definitions() -> None:
    made = large_group()
    assert unknown(made["spec"], crd("daskworkergroup"), "spec") == []


@pytest.mark.parametrize(("profile", "ordinary"), [(Profile(), ["large=3"]), (Profile(large=LARGE), [])])
def test_large_tasks_find_a_worker_whether_or_not_there_are_large_ones(profile: Profile, ordinary: list[str]) -> None:
    def offered(spec: dict[str, Any]) -> list[str]:
        args = spec["containers"][0]["args"]
        return [value for option, value in itertools.pairwise(args) if option == "--resources"]

    assert offered(profiled(profile)["worker"]["spec"]) == ordinary
    assert offered(large_group()["spec"]["worker"]["spec"]) == ["large=2"]


def test_workers_mount_the_result_volume_where_the_flow_pod_has_it_and_may_write_to_it() -> None:
    context = replace(CONTEXT, results=ResultVolume(claim="results", path="/results"))
    spec = manifest(context)["spec"]
    worker, scheduler = spec["worker"]["spec"], spec["scheduler"]["spec"]
    assert {"name": "results", "persistentVolumeClaim": {"claimName": "results"}} in worker["volumes"]
    assert {"name": "results", "mountPath": "/results"} in worker["containers"][0]["volumeMounts"]
    results = ResultVolume(claim="results", path="/results", folder="deployment-1")
    context = replace(CONTEXT, results=results)
    worker = manifest(context)["spec"]["worker"]["spec"]
    mount = {"name": "results", "mountPath": "/results", "subPath": "deployment-1"}
    assert mount in worker["containers"][0]["volumeMounts"]
    assert worker["securityContext"]["fsGroup"] == security.GROUP
    assert "results" not in str(scheduler["volumes"])
    assert unknown(spec, crd(), "spec") == []


def test_a_profile_cannot_send_a_worker_to_another_scheduler() -> None:
    spec = profiled(Profile(pod=PodExtras(env={"DASK_SCHEDULER_ADDRESS": "tcp://elsewhere:8786"})))
    assert "elsewhere" not in str(spec["worker"])


def test_without_a_nanny_a_worker_asks_for_none_and_has_no_port_for_it() -> None:
    args = profiled(Profile(nanny=False))["worker"]["spec"]["containers"][0]["args"]
    assert "--no-nanny" in args
    assert "--nanny-port" not in args


@pytest.mark.parametrize(("preset", "workers"), [("fast", 10), ("cheap", 1)])
def test_the_cost_dial_decides_how_many_workers_ten_unknown_tasks_are_worth(preset: str, workers: int) -> None:
    made = dask_cluster("etl-1", run=RUN, context=CONTEXT, settings=replace(SETTINGS, scaling=preset))
    values = {one["name"]: one.get("value") for one in made["spec"]["scheduler"]["spec"]["containers"][0]["env"]}
    target = parse_timedelta(values["DASK_DISTRIBUTED__ADAPTIVE__TARGET_DURATION"])
    unknown = parse_timedelta(values["DASK_DISTRIBUTED__SCHEDULER__UNKNOWN_TASK_DURATION"])
    assert math.ceil(10 * unknown / target) == workers


def test_a_busy_worker_is_never_killed_by_a_probe() -> None:
    assert "livenessProbe" not in container("worker")


def test_the_scheduler_serves_the_api_that_the_operator_scales_by() -> None:
    assert "distributed.http.scheduler.api" in variables("scheduler")["DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES"]


def test_the_service_selects_this_clusters_scheduler_only() -> None:
    service = manifest()["spec"]["scheduler"]["service"]
    assert service["selector"] == {"dask.org/cluster-name": "etl-1", "dask.org/component": "scheduler"}


def test_the_cluster_belongs_to_the_runs_job_and_does_not_hold_it_back() -> None:
    (owner,) = manifest()["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Job", "job-1", "u-1")
    assert owner["blockOwnerDeletion"] is False


def test_the_labels_name_flow_run_and_deployment_and_none_is_prefects() -> None:
    part = manifest()["metadata"]["labels"]
    assert part == {
        labels.COMPONENT: "dask",
        labels.FLOW: "my-flow",
        labels.FLOW_RUN: RUN.flow_run_id,
        labels.FLOW_RUN_NAME: "daring-mole",
        labels.DEPLOYMENT: "nightly",
        labels.JOB: "job-1",
    }
    assert not any("prefect" in name for name in part)


def test_a_cluster_tells_the_name_of_its_run_in_full() -> None:
    metadata = manifest(run=replace(RUN, flow_run_name="毎日 6:00"))["metadata"]
    assert metadata["annotations"][labels.FLOW_RUN_NAME] == "毎日 6:00"
    assert metadata["labels"][labels.FLOW_RUN_NAME] == "6-00"


def test_without_owner_credential_and_account_the_manifest_has_no_trace_of_them() -> None:
    bare = manifest(PodContext(namespace="flows", image="i", passed_on={}))
    assert "ownerReferences" not in bare["metadata"]
    assert "serviceAccountName" not in bare["spec"]["worker"]["spec"]
    assert "secretKeyRef" not in str(bare)


@pytest.mark.parametrize(("minimum", "first"), [(0, 1), (1, 1), (3, 3)])
def test_a_cluster_starts_with_its_minimum_and_with_one_worker_where_that_is_none(minimum: int, first: int) -> None:
    spec = dask_cluster("etl-1", run=RUN, context=CONTEXT, settings=replace(SETTINGS, minimum=minimum))["spec"]
    assert spec["worker"]["replicas"] == first


def test_the_definitions_of_the_locked_release_know_every_field_that_is_written() -> None:
    assert unknown(manifest()["spec"], crd(), "spec") == []
    assert unknown({"shutdownOnMars": 1}, crd(), "spec") == ["spec.shutdownOnMars"]


@cache
def crd(kind: str = "daskcluster") -> dict[str, Any]:
    folder = resources.files("dask_kubernetes").joinpath("operator/deployment/helm/dask-kubernetes-operator/crds")
    definition = yaml.safe_load(folder.joinpath(f"{kind}.yaml").read_text())
    part: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return part


def unknown(value: Any, schema: dict[str, Any], path: str) -> list[str]:
    if isinstance(value, dict) and "properties" in schema:
        return [
            missing
            for key, one in value.items()
            for missing in (
                unknown(one, schema["properties"][key], f"{path}.{key}")
                if key in schema["properties"]
                else [f"{path}.{key}"]
            )
        ]
    if isinstance(value, list):
        return [missing for one in value for missing in unknown(one, schema["items"], f"{path}[]")]
    return []


def test_a_field_that_the_api_dropped_is_noticed_and_an_empty_one_is_not() -> None:
    asked = {"idleTimeout": 5, "worker": {"volumes": [{"name": "a", "emptyDir": {}}]}}
    assert diagnosis.pruned(asked, {"worker": {"volumes": [{"name": "a"}]}}) == ["spec.idleTimeout"]
    assert diagnosis.pruned(asked, {"idleTimeout": 5, "worker": {"volumes": [{}]}}) == ["spec.worker.volumes[0].name"]
    assert diagnosis.pruned(asked, asked | {"more": 1}) == []


@pytest.mark.parametrize("nanny", [True, False])
def test_the_locked_release_knows_every_command_and_option_of_the_spec(nanny: bool) -> None:
    """The image is made of the same locked packages; an unknown option would be a crash loop in the cluster."""
    spec = profiled(Profile(nanny=nanny))
    commands = {entry.name: entry.load() for entry in entry_points(group="dask_cli")}
    for role in ("scheduler", "worker"):
        program, subcommand, *options = spec[role]["spec"]["containers"][0]["args"]
        assert program in {entry.name for entry in entry_points(group="console_scripts")}
        assert unknown_words(commands[subcommand], options) == []
        assert unknown_words(commands[subcommand], [*options, "--colour"]) == ["--colour"]


def unknown_words(command: click.Command, options: list[str]) -> list[str]:
    """Some of Dask's commands refuse an option that they do not know; others take it for a free argument."""
    try:
        context = command.make_context("dask", list(options))
    except click.NoSuchOption as refusal:
        return [refusal.option_name]
    free = [one.name for one in command.params if isinstance(one, click.Argument)]
    values = [context.params[name] for name in free if name]
    return [word for value in values for word in ([value] if isinstance(value, str) else value or [])]


WAREHOUSE = {"PGPASSWORD": {"name": "warehouse", "key": "password"}}


def with_pods(profile: Profile | None = None, **changes: Any) -> dict[str, Any]:
    context = replace(CONTEXT, **changes)
    settings = replace(SETTINGS, profile=profile or Profile())
    made: dict[str, Any] = dask_cluster("etl-1", run=RUN, context=context, settings=settings)["spec"]
    return made


def env_of(part: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in part["spec"]["containers"][0]["env"]}


def test_scheduler_and_workers_get_the_stacks_additions_and_wait_for_their_secrets() -> None:
    extras = PodExtras(
        secret_env=WAREHOUSE,
        env={"GREETING": "hello"},
        labels={"team": "data"},
        annotations={"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
        resources={"nvidia.com/gpu": "1"},
        volumes={"shm": {"source": {"emptyDir": {"medium": "Memory"}}, "mount": {"mountPath": "/dev/shm"}}},
    )
    spec = with_pods(pods=RunPods(scheduler=extras, worker=extras))
    for role in ("scheduler", "worker"):
        values = env_of(spec[role])
        assert values["PGPASSWORD"] == {"secretKeyRef": WAREHOUSE["PGPASSWORD"]}
        assert values["GREETING"] == "hello"
        assert spec[role]["metadata"] == {"labels": extras.labels, "annotations": extras.annotations}
        assert spec[role]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
        assert {"name": "shm", "mountPath": "/dev/shm"} in spec[role]["spec"]["containers"][0]["volumeMounts"]
    assert unknown(spec, crd(), "spec") == []


def test_a_variable_comes_from_the_deployment_then_the_profile_then_the_stack() -> None:
    stack = PodExtras(env={"A": "stack", "B": "stack", "C": "stack"})
    profile = Profile(pod=PodExtras(env={"B": "profile", "C": "profile"}))
    spec = with_pods(profile, pods=RunPods(worker=stack, scheduler=stack), own_env={"C": "deployment"})
    for role in ("scheduler", "worker"):
        values = env_of(spec[role])
        assert (values["A"], values["B"], values["C"]) == ("stack", "profile", "deployment")


def test_large_workers_begin_with_what_every_pod_has_and_not_with_what_ordinary_workers_have() -> None:
    context = replace(
        CONTEXT,
        pods=RunPods(common=PodExtras(env={"A": "all"}), worker=PodExtras(resources={"nvidia.com/gpu": "1"})),
        own_env={"B": "deployment"},
    )
    worker = replace(SETTINGS, profile=Profile(large=LARGE)).large_worker
    assert worker is not None
    made = large_worker_group("etl-1", "uid-1", worker, run=RUN, context=context)["spec"]["worker"]
    values = env_of(made)
    assert (values["A"], values["MODEL"], values["B"]) == ("all", "whole", "deployment")
    assert "nvidia.com/gpu" not in str(made)


def test_the_schedulers_size_grows_with_all_workers_unless_stack_or_profile_set_it() -> None:
    def resources_of(spec: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = spec["scheduler"]["spec"]["containers"][0]["resources"]
        return result

    assert resources_of(with_pods()) == {
        "requests": {"cpu": "100m", "memory": "256Mi"},
        "limits": {"memory": "1Gi"},
    }
    many = Profile(large=replace(LARGE, maximum=94))  # with 6 ordinary ones
    assert resources_of(with_pods(many))["requests"]["cpu"] == "940m"
    stack = RunPods(scheduler_cpu="2", scheduler_memory="4Gi")
    assert resources_of(with_pods(many, pods=stack)) == {
        "requests": {"cpu": "2", "memory": "4Gi"},
        "limits": {"memory": "4Gi"},
    }
    own = Profile(scheduler=Scheduler(memory="8Gi", pod=PodExtras(node_selector={"pool": "steady"})))
    spec = with_pods(own, pods=stack)
    assert resources_of(spec)["requests"] == {"cpu": "2", "memory": "8Gi"}
    assert spec["scheduler"]["spec"]["nodeSelector"] == {"pool": "steady"}
    assert "nodeSelector" not in spec["worker"]["spec"]


def test_a_patch_is_applied_to_its_pod_and_one_that_undoes_the_security_context_fails_the_run() -> None:
    patch = {"spec": {"containers": [{"name": "worker", "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}}]}}
    spec = with_pods(Profile(pod=PodExtras(patches=(patch,))))
    assert "lifecycle" in spec["worker"]["spec"]["containers"][0]
    assert "lifecycle" not in spec["scheduler"]["spec"]["containers"][0]
    bad = PodExtras(patches=({"spec": {"hostNetwork": True}},))
    with pytest.raises(SettingsError, match="patch of a Dask worker would break the restricted Pod Security Standard"):
        with_pods(Profile(pod=bad))


def test_a_size_from_code_above_the_stacks_limit_fails_the_run_with_both_numbers() -> None:
    with pytest.raises(SettingsError, match="pod of a Dask worker: its cpu limit is 100m and cpu request 250m: raise"):
        with_pods(Profile(pod=PodExtras(cpu_limit="100m")))


def test_in_a_cluster_with_ipv6_addresses_scheduler_and_workers_listen_on_them() -> None:
    spec = manifest(replace(CONTEXT, ipv6=True))["spec"]
    [scheduler], [worker] = (spec[role]["spec"]["containers"] for role in ("scheduler", "worker"))
    assert scheduler["args"][scheduler["args"].index("--host") + 1] == "[::]"
    assert worker["args"][worker["args"].index("--host") + 1] == "[$(POD_IP)]"
    for role, one in (("scheduler", scheduler), ("worker", worker)):
        [alias] = spec[role]["spec"]["hostAliases"]
        [name] = alias["hostnames"]
        assert alias["ip"] == "::"
        assert one["args"][one["args"].index("--dashboard-address") + 1].partition(":")[0] == name
    assert {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}} in worker["env"]
    assert "--host" not in container("worker")["args"]
    assert not any(each["name"] == "POD_IP" for each in container("worker")["env"])


def secured(role: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifest(replace(CONTEXT, tls=True))["spec"][role]["spec"]
    return spec


@roles
def test_every_pod_of_a_cluster_with_certificates_mounts_those_of_its_cluster_and_names_no_key(role: str) -> None:
    spec = secured(role)
    [volume] = [each for each in spec["volumes"] if each["name"] == tls.VOLUME]
    assert volume["secret"] == {"secretName": "etl-1.job-1.dask-tls"}
    [one] = spec["containers"]
    [mount] = [each for each in one["volumeMounts"] if each["name"] == tls.VOLUME]
    assert mount == {"name": tls.VOLUME, "mountPath": "/etc/ephemeral-dask/tls", "readOnly": True}
    values = {each["name"]: each.get("value") for each in one["env"]}
    assert {name: values[name] for name in tls.variables()} == tls.variables()
    assert all(f"{mount['mountPath']}/" in value for name, value in tls.variables().items() if "TLS" in name)


def test_workers_of_such_a_cluster_connect_with_tls_as_large_ones_do_and_others_with_tcp() -> None:
    worker = replace(SETTINGS, profile=Profile(large=LARGE)).large_worker
    assert worker is not None
    context = replace(CONTEXT, tls=True)
    large = large_worker_group("etl-1", "uid", worker, run=RUN, context=context)["spec"]["worker"]["spec"]
    for spec, scheme in ((secured("worker"), "tls"), (large, "tls"), (pod("worker"), "tcp")):
        [address] = [e["value"] for e in spec["containers"][0]["env"] if e["name"] == "DASK_SCHEDULER_ADDRESS"]
        assert address == f"{scheme}://etl-1-scheduler.flows:8786"


@roles
def test_without_certificates_nothing_of_them_is_in_a_pod(role: str) -> None:
    assert "tls" not in json.dumps(pod(role)).lower()


def test_variables_of_the_stack_never_displace_the_certificates() -> None:
    pods = RunPods(worker=PodExtras(env={"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "false"}))
    [one] = manifest(replace(CONTEXT, tls=True, pods=pods))["spec"]["worker"]["spec"]["containers"]
    assert {"name": "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION", "value": "true"} in one["env"]
