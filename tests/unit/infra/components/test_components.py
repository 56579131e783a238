from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pulumi
import pytest

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import security
from ephemeral_dask.contract.pods import PodExtras
from ephemeral_dask.contract.secrets import SecretRef
from infra import job_template, naming
from infra.components import pods, prefect_server
from infra.components.dask_operator import DaskOperator, DaskOperatorArgs
from infra.components.dask_reaper import DaskReaper, DaskReaperArgs, RunBounds
from infra.components.flow_image import FlowImage, FlowImageArgs
from infra.components.identity import Identity, IdentityArgs
from infra.components.namespace import NamespaceArgs, PlatformNamespace, RunsNamespace, RunsNamespaceArgs
from infra.components.prefect_server import PrefectServer, PrefectServerArgs
from infra.components.prefect_worker import RULES as WORKER_RULES
from infra.components.prefect_worker import PrefectWorker, PrefectWorkerArgs
from infra.components.result_volume import ResultVolume, ResultVolumeArgs
from infra.components.scheduler_budget import SchedulerBudget
from infra.components.stack_secret import StackSecret, StackSecretArgs
from infra.job_template import JobTemplateArgs
from infra.settings import (
    CaBundle,
    Dask,
    Docker,
    DockerBuild,
    EmbeddedPrefect,
    FlowBuild,
    FlowRun,
    Ingress,
    Pod,
    Postgresql,
    Prebuilt,
    Quota,
    Redis,
    SecretKey,
    Toleration,
    VolumeResults,
    Worker,
    layers,
)
from infra.specs.namespaces import Namespaces
from tests.mocks import Recorder, Render
from tools.paths import ROOT

PLATFORM = "registry.example.com/platform@sha256:" + "a" * 64


NAMES: Namespaces[str] = Namespaces(platform="flows", runs="flows-runs")


def platform_namespace() -> None:
    PlatformNamespace("flows", NamespaceArgs(name="flows", stack="org/ephemeral-dask/dev"))


def namespace() -> None:
    RunsNamespace("runs", RunsNamespaceArgs(name="flows-runs", stack="org/ephemeral-dask/dev"))


def server(**settings: Any) -> None:
    args = PrefectServerArgs(
        namespace="flows",
        image=PLATFORM,
        settings=EmbeddedPrefect(**settings),
        auth=SecretRef(name="prefect-api", key="value"),
        database=SecretRef(name="prefect-database", key="value"),
        redis=SecretRef(name="prefect-redis", key="value"),
    )
    PrefectServer("server", args)


def worker(credential: Mapping[str, SecretRef] | None = None, ca: PodExtras | None = None, **settings: Any) -> None:
    PrefectWorker(
        "worker",
        PrefectWorkerArgs(
            namespaces=NAMES,
            account="prefect-worker",
            image=PLATFORM,
            api_url="http://prefect-server.flows.svc:4200/api",
            pool="dask",
            work_pool="dask",
            settings=Worker(**settings),
            credential=credential or {},
            ca=ca or PodExtras(),
        ),
    )


def operator() -> None:
    DaskOperator("operator", DaskOperatorArgs(namespaces=NAMES, image=PLATFORM))


def reaper() -> None:
    DaskReaper(
        "reaper",
        DaskReaperArgs(
            namespaces=NAMES,
            image=PLATFORM,
            maximum_lifetime=3600,
            api_url="http://prefect-server.flows.svc:4200/api",
            credential={"PREFECT_API_AUTH_STRING": SecretRef(name="prefect-api", key="value")},
            versions={"ephemeral-dask/credential": "1"},
            pools={"dask": RunBounds(pending_timeout=600, crashed_after=None)},
        ),
    )


def container(recorder: Recorder) -> Mapping[str, Any]:
    [deployment] = recorder.of("apps/v1:Deployment")
    result: Mapping[str, Any] = deployment["spec"]["template"]["spec"]["containers"][0]
    return result


def environment(recorder: Recorder) -> Mapping[str, Any]:
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(recorder)["env"]}


@pytest.mark.parametrize("build", [server, worker, operator, reaper])
def test_every_platform_pod_keeps_the_restricted_pod_security_standard(render: Render, build: Any) -> None:
    recorder = render(build)
    [deployment] = recorder.of("apps/v1:Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    security = container(recorder)["securityContext"]
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("build", [server, worker, operator, reaper])
def test_every_platform_pod_is_probed_and_bounded(render: Render, build: Any) -> None:
    result = container(render(build))
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(result)
    assert result["livenessProbe"]["timeoutSeconds"] == 10, "a busy node must not cause a restart"
    assert result["resources"]["limits"]["memory"]
    assert result["resources"]["requests"]["cpu"]


def identities() -> None:
    args = IdentityArgs(account=naming.WORKER, namespace="flows", rules=WORKER_RULES, rules_in="flows-runs")
    Identity("identity", args)


@pytest.mark.parametrize("build", [identities, operator, reaper])
def test_the_platforms_pods_have_their_permissions_in_the_namespace_of_runs(render: Render, build: Any) -> None:
    recorder = render(build)
    [account] = recorder.of("v1:ServiceAccount")
    [role], [binding] = recorder.of("/v1:Role"), recorder.of("/v1:RoleBinding")
    assert account["metadata"]["namespace"] == "flows"
    assert role["metadata"]["namespace"] == binding["metadata"]["namespace"] == "flows-runs"
    [subject] = binding["subjects"]
    assert (subject["name"], subject["namespace"]) == (account["metadata"]["name"], "flows")


@pytest.mark.parametrize("build", [worker, operator, reaper])
def test_the_platforms_pods_run_in_its_own_namespace(render: Render, build: Any) -> None:
    [deployment] = render(build).of("apps/v1:Deployment")
    assert deployment["metadata"]["namespace"] == "flows"


@pytest.mark.parametrize("build", [namespace, identities, operator, reaper])
def test_no_role_reaches_beyond_the_namespace_or_uses_a_wildcard(render: Render, build: Any) -> None:
    recorder = render(build)
    assert not recorder.of(":ClusterRole")
    assert not recorder.of(":ClusterRoleBinding")
    for role in recorder.of("/v1:Role"):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_only_identities_with_a_role_get_a_token(render: Render) -> None:
    recorder = render(namespace)
    tokens = {
        each["metadata"]["name"]: each["automountServiceAccountToken"] for each in recorder.of("v1:ServiceAccount")
    }
    assert tokens == {naming.FLOW_RUN: True, naming.DASK: False}


@pytest.mark.parametrize("build", [platform_namespace, namespace])
def test_both_namespaces_enforce_a_pinned_version_of_the_restricted_standard(render: Render, build: Any) -> None:
    [made] = render(build).of("v1:Namespace")
    labels = made["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels["pod-security.kubernetes.io/enforce-version"].startswith("v1.")


@pytest.mark.parametrize(("tls", "verbs"), [(True, {"create"}), (False, set())])
def test_a_flow_run_may_create_secrets_for_certificates_and_never_read_one(
    render: Render, tls: bool, verbs: set[str]
) -> None:
    [role] = render(lambda: RunsNamespace("runs", RunsNamespaceArgs(name="r", stack="s", tls=tls))).of("/v1:Role")
    assert {verb for rule in role["rules"] if "secrets" in rule["resources"] for verb in rule["verbs"]} == verbs


def test_a_flow_run_may_not_touch_deployments(render: Render) -> None:
    [role] = render(namespace).of("/v1:Role")
    resources = {resource for rule in role["rules"] for resource in rule["resources"]}
    assert resources.isdisjoint({"deployments", "jobs"})


def test_the_servers_database_outlives_its_pod(render: Render) -> None:
    recorder = render(server)
    [volume] = recorder.of("v1:PersistentVolumeClaim")
    [deployment] = recorder.of("apps/v1:Deployment")
    claimed = [
        each["persistentVolumeClaim"]["claimName"]
        for each in deployment["spec"]["template"]["spec"]["volumes"]
        if "persistentVolumeClaim" in each
    ]
    assert claimed == [volume["metadata"]["name"]]
    assert "/data/" in environment(recorder)["PREFECT_SERVER_DATABASE_CONNECTION_URL"]


def test_two_servers_never_share_the_sqlite_file_during_an_update(render: Render) -> None:
    [deployment] = render(server).of("apps/v1:Deployment")
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_the_page_calls_the_api_at_the_address_of_the_browser(render: Render) -> None:
    assert environment(render(server))["PREFECT_UI_API_URL"] == "http://127.0.0.1:4200/api"


POSTGRESQL: Any = {"database": Postgresql(kind="postgresql"), "redis": Redis()}


def test_the_servers_address_of_postgresql_is_a_reference_and_its_schema_is_migrated_before_it_starts(
    render: Render,
) -> None:
    recorder = render(lambda: server(**POSTGRESQL))
    values = environment(recorder)
    assert values["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == {
        "secretKeyRef": {"name": "prefect-database", "key": "value"}
    }
    assert values["PREFECT_SERVER_DATABASE_MIGRATE_ON_START"] == "false"
    [deployment] = recorder.of("apps/v1:Deployment")
    [migration] = deployment["spec"]["template"]["spec"]["initContainers"]
    assert migration["command"] == ["prefect", "server", "database", "upgrade", "--yes"]
    assert deployment["spec"]["strategy"] == {"type": "RollingUpdate"}
    assert not recorder.of("v1:PersistentVolumeClaim")


def test_the_server_asks_for_the_auth_string_and_refuses_forged_requests(render: Render) -> None:
    values = environment(render(server))
    assert values["PREFECT_SERVER_API_AUTH_STRING"] == {"secretKeyRef": {"name": "prefect-api", "key": "value"}}
    assert values["PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED"] == "true"


def test_several_servers_share_events_through_redis_and_are_evicted_one_at_a_time(render: Render) -> None:
    recorder = render(lambda: server(**POSTGRESQL, replicas=2, background_services="apart"))
    made = {each["metadata"]["name"]: each["spec"] for each in recorder.of("apps/v1:Deployment")}
    assert made["prefect-server"]["replicas"] == 2
    assert made["prefect-services"]["replicas"] == 1
    server_container = made["prefect-server"]["template"]["spec"]["containers"][0]
    assert "--no-services" in server_container["command"]
    names = {each["name"] for each in server_container["env"]}
    assert {"PREFECT_REDIS_MESSAGING_URL", "PREFECT_SERVER_DOCKET_URL"} <= names
    [budget] = recorder.of("v1:PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1


def test_one_pod_has_no_disruption_budget_because_it_would_block_every_drain(render: Render) -> None:
    assert not render(server).of("v1:PodDisruptionBudget")
    assert not render(worker).of("v1:PodDisruptionBudget")
    assert len(render(lambda: worker(replicas=2)).of("v1:PodDisruptionBudget")) == 1


def test_an_ingress_is_created_only_if_set_and_the_page_calls_it(render: Render) -> None:
    assert not render(server).of("v1:Ingress")
    recorder = render(lambda: server(ingress=Ingress(host="prefect.example.com", class_name="nginx")))
    [ingress] = recorder.of("v1:Ingress")
    assert ingress["spec"]["rules"][0]["host"] == "prefect.example.com"
    assert environment(recorder)["PREFECT_UI_API_URL"] == "https://prefect.example.com/api"


def test_pod_settings_of_the_stack_reach_the_pods(render: Render) -> None:
    pod = Pod(
        node_selector={"pool": "platform"},
        tolerations=(Toleration(key="dedicated", operator="Exists"),),
        priority_class="high",
        labels={"team": "data"},
        annotations={"a": "b"},
        env={"EXTRA": "1"},
        memory_limit="2Gi",
    )
    recorder = render(lambda: worker(pod=pod))
    [deployment] = recorder.of("apps/v1:Deployment")
    template = deployment["spec"]["template"]
    assert template["spec"]["nodeSelector"] == {"pool": "platform"}
    assert template["spec"]["tolerations"] == [{"key": "dedicated", "operator": "Exists"}]
    assert template["spec"]["priorityClassName"] == "high"
    assert template["metadata"]["labels"]["team"] == "data"
    assert template["metadata"]["annotations"] == {"a": "b"}
    assert environment(recorder)["EXTRA"] == "1"
    assert container(recorder)["resources"]["limits"]["memory"] == "2Gi"


def test_an_annotation_of_the_stack_never_displaces_the_one_that_follows_a_secret() -> None:
    pod = {"containers": []}
    spec = pods.deployment("x", pod, settings=Pod(annotations={"v": "mine", "a": "b"}), versions={"v": "uid"})
    assert spec["template"]["metadata"]["annotations"] == {"v": "uid", "a": "b"}


def test_the_status_of_a_pod_keeps_the_last_lines_of_a_program_that_failed() -> None:
    spec = pods.deployment("x", {"containers": [{"name": "program"}]})
    [container] = spec["template"]["spec"]["containers"]
    assert container == {"name": "program", "terminationMessagePolicy": "FallbackToLogsOnError"}


def test_a_label_of_the_stack_never_displaces_one_that_selectors_need(render: Render) -> None:
    recorder = render(lambda: worker(pod=Pod(labels={"app.kubernetes.io/name": "mine"})))
    [deployment] = recorder.of("apps/v1:Deployment")
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_the_platform_has_no_quota_and_no_account_of_runs(render: Render) -> None:
    recorder = render(platform_namespace)
    [made] = recorder.of("v1:Namespace")
    assert made["metadata"]["annotations"] == {naming.STACK: "org/ephemeral-dask/dev"}
    assert [each.typ for each in recorder.resources if each.typ.startswith("kubernetes:")] == [
        "kubernetes:core/v1:Namespace"
    ]


def test_the_namespace_of_runs_names_its_stack_and_has_a_quota_only_if_set(render: Render) -> None:
    recorder = render(namespace)
    [made] = recorder.of("v1:Namespace")
    assert made["metadata"]["annotations"] == {naming.STACK: "org/ephemeral-dask/dev"}
    assert len(recorder.of("v1:LimitRange")) == 1
    assert not recorder.of("v1:ResourceQuota")

    def with_quota() -> None:
        quota = Quota(cpu="10", memory="20Gi")
        RunsNamespace("runs", RunsNamespaceArgs(name="flows-runs", stack="s", quota=quota))

    [quota] = render(with_quota).of("v1:ResourceQuota")
    assert quota["spec"]["hard"] == {"requests.cpu": "10", "requests.memory": "20Gi", "pods": "200"}


def test_the_worker_never_creates_the_pool(render: Render) -> None:
    command = container(render(worker))["command"]
    assert command[-2:] == ["--pool", "dask"]
    assert command[command.index("--install-policy") + 1] == "never"


def test_the_workers_observer_watches_the_namespace_of_runs_only(render: Render) -> None:
    assert environment(render(worker))["PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_NAMESPACES"] == "flows-runs"


def test_the_worker_and_its_jobs_refer_to_the_credential(render: Render) -> None:
    values = environment(render(lambda: worker({"PREFECT_API_KEY": SecretRef(name="prefect-api", key="credential")})))
    assert values["PREFECT_API_KEY"] == {"secretKeyRef": {"name": "prefect-api", "key": "credential"}}
    assert values["PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_KEY_SECRET_NAME"] == "prefect-api"
    assert values["PREFECT_INTEGRATIONS_KUBERNETES_WORKER_API_KEY_SECRET_KEY"] == "credential"


def test_dask_crds_survive_the_stack_because_other_namespaces_may_use_them(render: Render) -> None:
    recorder = render(operator)
    names = {each["metadata"]["name"] for each in recorder.of("v1:CustomResourceDefinition")}
    assert names == {
        f"{kind}.kubernetes.dask.org" for kind in ("daskclusters", "daskworkergroups", "daskjobs", "daskautoscalers")
    }


def test_the_operator_acts_in_one_namespace(render: Render) -> None:
    recorder = render(operator)
    assert "--namespace=flows-runs" in container(recorder)["command"]
    # Its liveness probe asks about the same namespace.
    assert environment(recorder)[env.NAMESPACE] == "flows-runs"


def test_the_reaper_may_delete_only_dask_clusters_worker_groups_and_jobs(render: Render) -> None:
    [role] = render(reaper).of("/v1:Role")
    deletable = {resource for rule in role["rules"] if "delete" in rule["verbs"] for resource in rule["resources"]}
    writable = {resource for rule in role["rules"] if "patch" in rule["verbs"] for resource in rule["resources"]}
    assert deletable == {"daskclusters", "daskworkergroups", "jobs"}
    assert writable == {"daskclusters", "daskautoscalers", "daskworkergroups"}


def test_the_reaper_knows_the_namespace_of_runs_the_maximum_lifetime_and_the_bounds_of_each_pool(
    render: Render,
) -> None:
    namespace_option, lifetime, pools = container(render(reaper))["command"][-3:]
    assert (namespace_option, lifetime) == ("--namespace=flows-runs", "--maximum-lifetime=3600")
    assert json.loads(pools.removeprefix("--pools=")) == {"dask": {"pendingTimeout": 600, "crashedAfter": None}}


def test_the_reaper_has_the_prefect_credential_by_reference_and_is_replaced_with_it(render: Render) -> None:
    recorder = render(reaper)
    reference = {"secretKeyRef": {"name": "prefect-api", "key": "value"}}
    assert environment(recorder)["PREFECT_API_AUTH_STRING"] == reference
    assert environment(recorder)["PREFECT_API_URL"] == "http://prefect-server.flows.svc:4200/api"
    [deployment] = recorder.of("apps/v1:Deployment")
    assert deployment["spec"]["template"]["metadata"]["annotations"] == {"ephemeral-dask/credential": "1"}


def test_the_workers_observer_watches_no_jobs_so_that_only_the_reaper_judges_runs(render: Render) -> None:
    """Pods of runs have the label of the filter, Jobs have none of this project."""
    variable = "PREFECT_INTEGRATIONS_KUBERNETES_OBSERVER_ADDITIONAL_LABEL_FILTERS"
    key, value = environment(render(worker))[variable].split("=")
    args = JobTemplateArgs(namespace="flows", image="image", flow_run=FlowRun(), dask=Dask(), credential={})
    template = job_template.build(args)["job_configuration"]["job_manifest"]
    assert template["spec"]["template"]["metadata"]["labels"][key] == value
    assert template["metadata"]["labels"] == "{{ labels }}"


@pytest.mark.parametrize(
    ("settings", "leases"),
    [
        ({}, "prefect.server.concurrency.lease_storage.filesystem"),
        ({"database": {"kind": "postgresql"}}, "ops.database_leases"),
        ({"database": {"kind": "postgresql"}, "redis": {}}, "prefect_redis.lease_storage"),
    ],
)
def test_leases_of_concurrency_limits_outlive_the_server(settings: Any, leases: str, render: Render) -> None:
    environment_of_server = environment(render(lambda: server(**settings)))
    assert environment_of_server["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"] == leases
    assert environment_of_server["PREFECT_HOME"] == ("/data" if "filesystem" in leases else "/tmp/prefect")


def test_readiness_asks_the_database_and_sqlites_volume_and_liveness_does_not(render: Render) -> None:
    sqlite = container(render(server))
    assert sqlite["readinessProbe"]["exec"]["command"][-2:] == ["http://127.0.0.1:4200/api/ready", "/data"]
    postgresql = container(render(lambda: server(database={"kind": "postgresql"})))
    assert postgresql["readinessProbe"]["httpGet"]["path"] == "/api/ready"
    for each in (sqlite, postgresql):
        assert each["livenessProbe"]["httpGet"]["path"] == "/api/health"


CONTEXTS = {"flow": ".build/dev/flow", "platform": ".build/dev/platform"}
"""Target -> build context. Each has its own, with its Dockerfile."""


def image(builder: Any, render: Render, nodes: list[str] | None = None) -> tuple[Recorder, dict[str, str]]:
    result: dict[str, str] = {}

    def build() -> None:
        made = FlowImage("image", FlowImageArgs(builder=builder, root=ROOT, tag="dev", node_platforms=nodes))
        pulumi.Output.all(flow=made.flow, platform=made.platform).apply(result.update)

    return render(build), result


def test_a_built_image_is_used_by_digest_and_built_only_in_an_update(render: Render) -> None:
    recorder, result = image(DockerBuild(registry="localhost:5001/team"), render)
    assert result["flow"].startswith("localhost:5001/team/ephemeral-dask-flow@sha256:")
    assert result["platform"].startswith("localhost:5001/team/ephemeral-dask-platform@sha256:")
    assert [each["buildOnPreview"] for each in recorder.of("index:Image")] == [False, False]
    assert [each["push"] for each in recorder.of("index:Image")] == [True, True]
    images = recorder.of("index:Image")
    assert {each["target"]: each["context"]["location"] for each in images} == CONTEXTS
    assert all(each["dockerfile"]["location"] == f"{each['context']['location']}/Dockerfile" for each in images)
    for context in CONTEXTS.values():
        assert (ROOT / context / "app").is_dir()


def test_certificates_of_the_build_are_in_its_context_and_not_in_the_state(render: Render, tmp_path: Path) -> None:
    bundle = tmp_path / "company.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----")
    recorder, _ = image(DockerBuild(registry="localhost:5001", ca_bundle=str(bundle)), render)
    assert not [each for each in recorder.of("index:Image") if "secrets" in each or "CERTIFICATE" in str(each)]
    for context in CONTEXTS.values():
        assert (ROOT / context / "ca.crt").read_text() == bundle.read_text()
    image(DockerBuild(registry="localhost:5001"), render)
    for context in CONTEXTS.values():
        assert not (ROOT / context / "ca.crt").exists()


def test_a_named_flow_image_is_built_from_its_own_packages(render: Render) -> None:
    gpu = FlowBuild(requirements="requirements/platform.txt", base="cuda:12", apt_packages=("libgomp1", "git"))
    recorder, _ = image(DockerBuild(registry="localhost:5001", flows={"gpu": gpu}), render)
    [made] = [each for each in recorder.of("index:Image") if "flow-gpu" in each["tags"][0]]
    assert made["buildArgs"] == {
        "BASE": "cuda:12",
        "APT_PACKAGES": "libgomp1 git",
        "PYTHON": "3.11",
    }
    assert (ROOT / made["context"]["location"] / "requirements" / "flows.txt").read_text() == (
        (ROOT / "requirements" / "platform.txt").read_text()
    )


def test_the_docker_builder_is_used_by_digest_too(render: Render) -> None:
    recorder, result = image(Docker(builder="docker", registry="localhost:5001"), render)
    assert result["flow"] == "localhost:5001/ephemeral-dask-flow@sha256:" + "d" * 64
    builds = [each["build"] for each in recorder.of("image:Image")]
    assert {each["target"]: each["context"] for each in builds} == CONTEXTS
    assert all(each["dockerfile"] == f"{each['context']}/Dockerfile" for each in builds)


def test_only_an_image_whose_runs_clone_a_repository_gets_git(render: Render) -> None:
    builder = DockerBuild(registry="r", flows={"a": FlowBuild(apt_packages=("git", "jq")), "b": FlowBuild()})

    def build() -> None:
        FlowImage("image", FlowImageArgs(builder=builder, root=ROOT, tag="dev", git={None, "a"}))

    images = {each["tags"][0]: each["buildArgs"].get("APT_PACKAGES") for each in render(build).of("index:Image")}
    assert images == {
        "r/ephemeral-dask-platform:dev": None,
        "r/ephemeral-dask-flow:dev": "git",
        "r/ephemeral-dask-flow-a:dev": "git jq",
        "r/ephemeral-dask-flow-b:dev": "",
    }


@pytest.mark.parametrize(
    ("own", "nodes", "platforms"),
    [
        ((), None, None),
        ((), ["linux/arm64"], ["linux/arm64"]),
        (("linux/amd64",), ["linux/arm64"], ["linux/amd64"]),
        ((), ["linux/amd64", "linux/arm64"], ["linux/amd64", "linux/arm64"]),
    ],
)
def test_an_image_is_built_for_the_nodes_unless_the_settings_say_otherwise(
    own: tuple[Any, ...], nodes: list[str] | None, platforms: list[str] | None, render: Render
) -> None:
    recorder, _ = image(DockerBuild(registry="localhost:5001", platforms=own), render, nodes)
    assert [each.get("platforms") for each in recorder.of("index:Image")] == [platforms, platforms]
    recorder, _ = image(Docker(builder="docker", registry="localhost:5001", platforms=own), render, nodes)
    # One platform is all that this provider builds for; of several it takes the engine's own.
    one = platforms[0] if platforms and len(platforms) == 1 else None
    assert [each["build"].get("platform") for each in recorder.of("image:Image")] == [one, one]


def test_a_prebuilt_image_is_taken_as_it_is(render: Render) -> None:
    flow, platform = "r/flow@sha256:" + "1" * 64, "r/platform:2@sha256:" + "2" * 64
    recorder, result = image(Prebuilt(builder="prebuilt", flow=flow, platform=platform), render)
    assert result == {"flow": flow, "platform": platform}
    assert not recorder.of("Image")[1:]


def secret(existing: SecretKey | None, value: str | None, render: Render) -> tuple[Recorder, SecretRef | None]:
    result: list[SecretRef | None] = []

    def build() -> None:
        secret_value = pulumi.Output.secret(value) if value else None
        args = StackSecretArgs(namespace="flows", secret="prefect-api", existing=existing, value=secret_value)
        result.append(StackSecret("credential", args).ref)

    return render(build), result[0]


def test_without_a_secret_no_kubernetes_secret_is_created(render: Render) -> None:
    recorder, result = secret(None, None, render)
    assert result is None
    assert not recorder.of(":Secret")


def test_a_secret_of_the_stack_becomes_one_that_pods_refer_to(render: Render) -> None:
    recorder, result = secret(None, "pnu_key", render)
    assert result == SecretRef(name="prefect-api", key="value")
    assert len(recorder.of(":Secret")) == 1


def test_an_existing_secret_is_referenced_and_none_is_created(render: Render) -> None:
    recorder, result = secret(SecretKey(name="mine", key="auth"), "unused", render)
    assert result == SecretRef(name="mine", key="auth")
    assert not recorder.of(":Secret")


def test_the_result_volume_is_claimed_as_the_stack_says(render: Render) -> None:
    volume = VolumeResults(store="volume", size="20Gi", access_mode="ReadWriteOnce", storage_class="fast")
    recorder = render(lambda: ResultVolume("results", ResultVolumeArgs(namespace="flows", settings=volume)))
    [claim] = recorder.of("v1:PersistentVolumeClaim")
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "20Gi"}},
        "storageClassName": "fast",
    }
    # Bound by the first run's pod: waited for, `pulumi up` would never end.
    assert claim["metadata"]["annotations"]["pulumi.com/skipAwait"] == "true"


def test_pods_use_the_group_of_the_images_user() -> None:
    assert f"USER {security.GROUP}:{security.GROUP}" in (ROOT / "Dockerfile").read_text()


def test_the_platform_image_has_the_modules_that_several_servers_share() -> None:
    for module in prefect_server.THROUGH_REDIS.values():
        assert importlib.util.find_spec(module), module


def test_a_workers_pod_trusts_the_stacks_ca_bundle(render: Render) -> None:
    ca = layers.ca_extras(CaBundle(config_map="company-ca"))
    recorder = render(functools.partial(worker, ca=ca))
    assert environment(recorder)["PREFECT_API_SSL_CERT_FILE"] == "/etc/ephemeral-dask/ca/ca.crt"
    [deployment] = recorder.of("apps/v1:Deployment")
    volumes = {each["name"]: each for each in deployment["spec"]["template"]["spec"]["volumes"]}
    assert volumes["ca-bundle"]["configMap"]["name"] == "company-ca"
    assert "/etc/ephemeral-dask/ca" in [each["mountPath"] for each in container(recorder)["volumeMounts"]]


def test_the_budget_of_the_schedulers_selects_no_other_pod_and_lets_none_go(render: Render) -> None:
    recorder = render(lambda: SchedulerBudget("dask-schedulers", "flows"))
    [budget] = recorder.of("policy/v1:PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 0
    assert budget["spec"]["selector"]["matchLabels"] == {
        "ephemeral-dask/component": "dask",
        "dask.org/component": "scheduler",
    }


def test_prefects_worker_may_read_the_log_of_a_pod_that_never_reached_prefect() -> None:
    assert any("pods/log" in rule.resources and "get" in rule.verbs for rule in WORKER_RULES)
