"""Both stacks of the repository on a real API server and etcd, on which no container ever runs.

They stay as they are committed, with the Prefect server in their namespace, but for the images. That server is reached
through a real port-forward; behind it the hollow node has a Prefect server that runs beside the tests.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest import mock

import httpx
import pytest
import yaml

from infra import naming
from infra.registration.cluster_state import DASK_CRDS
from tests import definitions
from tests.engine import control_plane, test_scan
from tests.engine.commands import Commands, Result
from tests.engine.control_plane import Kubernetes
from tests.support import scratch_prefect
from tools import stackfile
from tools.cluster.layout import API_SERVICE_IP, NODE_IP
from tools.paths import PROJECT, ROOT
from tools.target import PREVIEW_LIKE_UPDATE

NAMESPACES: Final = {"dev": "flows", "prod": "flows-prod"}
"""Stack -> the namespace of its platform."""
AUTH: Final = "admin:of-the-tests"
"""What the Prefect server of `prod` asks for."""
SECRETS: Final[Mapping[str, Mapping[str, str]]] = {
    "dev": {},
    "prod": {
        "prefectAuthString": AUTH,
        "prefectDatabaseUrl": "postgresql+asyncpg://prefect:of-the-tests@database.example.com/prefect",
    },
}
IMAGE: Final = {
    "builder": "prebuilt",
    "flow": f"registry.example.com/flow@sha256:{'a' * 64}",
    "platform": f"registry.example.com/platform@sha256:{'b' * 64}",
}
SECOND_API_SERVER: Final[dict[str, Any]] = {
    "apiVersion": "discovery.k8s.io/v1",
    "kind": "EndpointSlice",
    "metadata": {
        "name": "kubernetes-second",
        "namespace": "default",
        "labels": {"kubernetes.io/service-name": "kubernetes"},
    },
    "addressType": "IPv4",
    "endpoints": [{"addresses": ["192.0.2.7"]}],
    "ports": [{"name": "https", "port": 6443, "protocol": "TCP"}],
}
CRD_OBJECTS: Final = {f"CustomResourceDefinition {name}" for name in DASK_CRDS}

LARGEST_DEPLOYMENT: Final = 5_000
"""Bytes that a deployment of a sample flow may take in the state."""

pytestmark = pytest.mark.xdist_group("platform")
"""The tests share both stacks and their control plane."""

every_stack = pytest.mark.parametrize("name", NAMESPACES)


class Platform(Commands):
    """A stack of the repository: its committed file, with images that were built elsewhere."""

    def __init__(self, folder: Path, name: str, kubernetes: Kubernetes) -> None:
        super().__init__(folder, project=ROOT)
        self.namespace = NAMESPACES[name]
        self.runs_namespace = f"{self.namespace}-runs"
        plugins = Path(os.environ.get("PULUMI_HOME", Path.home() / ".pulumi")) / "plugins"
        (folder / "home" / "plugins").symlink_to(plugins)
        # Made away from the clone, into which Pulumi would write the salt.
        made = folder / "made"
        made.mkdir()
        (made / "Pulumi.yaml").write_text((ROOT / "Pulumi.yaml").read_text())
        self.run("stack", "init", name, "--no-select", "--cwd", str(made))
        content = stackfile.read(name)
        content["config"][f"{PROJECT}:image"] = IMAGE
        self._file = folder / "settings.yaml"
        self._file.write_text(yaml.safe_dump(content) + (made / f"Pulumi.{name}.yaml").read_text())
        self.environment |= {
            "KUBECONFIG": str(kubernetes.place.kubeconfig),
            "PULUMI_STACK": name,
            "PULUMI_OPTION_CONFIG_FILE": str(self._file),
        }
        for key, value in SECRETS[name].items():
            self.run("config", "set", "--secret", key, value)

    def plan(self, *options: str, **settings: Any) -> Result:
        """Preview an update; with settings, of a stack in whose file these keys are changed."""
        return self.attempt("preview", "--json", *self._changed(settings), *options)

    def change(self, **settings: Any) -> Result:
        """Bring the stack up as a file says in which these keys are changed."""
        return self.up(*self._changed(settings))

    def _changed(self, settings: Mapping[str, Any]) -> list[str]:
        content = yaml.safe_load(self._file.read_text())
        for key, value in settings.items():
            before = content["config"].get(f"{PROJECT}:{key}")
            content["config"][f"{PROJECT}:{key}"] = {**before, **value} if isinstance(before, dict) else value
        changed = self.folder / "changed.yaml"
        changed.write_text(yaml.safe_dump(content))
        return ["--config-file", str(changed)]

    def objects(self) -> set[str]:
        """Name the Kubernetes objects in the state."""
        return {
            named({**each["outputs"], "kind": each["type"].rpartition(":")[2]})
            for each in self.export()["deployment"]["resources"]
            if each["type"].startswith("kubernetes:") and "metadata" in each.get("outputs", {})
        }


def named(manifest: Mapping[str, Any]) -> str:
    metadata = manifest["metadata"]
    return f"{manifest['kind']} {metadata.get('namespace', '')}/{metadata['name']}".replace(" /", " ")


def ours(kubernetes: Kubernetes) -> dict[str, Any]:
    """Return all objects with the project's label, but for those that Kubernetes derives from another one."""
    kinds = kubernetes.kubectl("api-resources", "--verbs=list", "-o", "name").split()
    asked = ",".join(sorted(set(kinds) - {"endpoints"}))
    label = f"app.kubernetes.io/part-of={PROJECT}"
    objects = json.loads(kubernetes.kubectl("get", asked, "--all-namespaces", "-l", label, "-o", "json"))["items"]
    return {named(each): each for each in objects if "ownerReferences" not in each["metadata"]}


@pytest.fixture(scope="module")
def prefects(prefect_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, httpx.Client]]:
    """Stack -> API of the Prefect server that stands for the one in its namespace."""
    settings = {"PREFECT_LOGGING_LEVEL": "WARNING", "PREFECT_SERVER_API_AUTH_STRING": AUTH}
    home = tmp_path_factory.mktemp("prefect-prod")
    with scratch_prefect.running(home, "--no-services", settings=settings) as guarded:
        yield {
            "dev": httpx.Client(base_url=prefect_server, trust_env=False),
            "prod": httpx.Client(base_url=guarded, trust_env=False, auth=tuple(AUTH.split(":"))),  # type: ignore[arg-type]
        }


@pytest.fixture(scope="module")
def kubernetes(prefects: Mapping[str, httpx.Client], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    behind = {NAMESPACES[name]: client.base_url.port or 0 for name, client in prefects.items()}
    with control_plane.running(tmp_path_factory.mktemp("kubernetes"), behind) as running:
        yield running


@pytest.fixture(scope="module")
def stacks(
    pulumi_cli: str,  # noqa: ARG001
    kubernetes: Kubernetes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, Platform]:
    return {name: Platform(tmp_path_factory.mktemp(name), name, kubernetes) for name in NAMESPACES}


@pytest.fixture(scope="module")
def planned(stacks: Mapping[str, Platform]) -> Mapping[str, Result]:
    """The first preview of each stack."""
    return {name: stack.plan() for name, stack in stacks.items()}


@pytest.fixture(scope="module")
def after_planning(planned: Mapping[str, Result], kubernetes: Kubernetes) -> tuple[set[str], str]:
    assert planned
    return set(ours(kubernetes)), kubernetes.kubectl("get", "namespaces", "-o", "name")


@pytest.fixture(scope="module")
def made(stacks: Mapping[str, Platform], after_planning: object) -> Mapping[str, Result]:
    """The first update of each stack."""
    assert after_planning
    return {name: stack.up() for name, stack in stacks.items()}


@pytest.fixture
def stack(name: str, stacks: Mapping[str, Platform], made: Mapping[str, Result]) -> Platform:
    """A stack that is up, beside the other one."""
    assert made[name].code == 0
    return stacks[name]


@every_stack
def test_a_first_preview_plans_the_whole_stack(name: str, planned: Mapping[str, Result]) -> None:
    assert planned[name].code == 0, planned[name].messages()
    steps = planned[name].steps()
    assert set(steps.values()) == {"create"}
    assert {"flows-namespace", "prefect-server-deployment", "work-pool-dask", "digits-search", "drain"} <= set(steps)


def test_a_first_preview_creates_nothing(after_planning: tuple[set[str], str]) -> None:
    objects, namespaces = after_planning
    assert objects == set()
    assert not any(namespace in namespaces for namespace in NAMESPACES.values())


@every_stack
def test_an_update_does_what_the_preview_showed(
    name: str, planned: Mapping[str, Result], made: Mapping[str, Result]
) -> None:
    assert made[name].steps() == planned[name].steps()


def test_the_cluster_has_exactly_the_objects_of_the_states(
    stacks: Mapping[str, Platform], made: Mapping[str, Result], kubernetes: Kubernetes
) -> None:
    assert made
    assert set(ours(kubernetes)) == {each for stack in stacks.values() for each in stack.objects()}


def test_two_stacks_in_a_cluster_share_the_crds_and_nothing_else(
    stacks: Mapping[str, Platform], made: Mapping[str, Result]
) -> None:
    assert made
    assert stacks["dev"].objects() & stacks["prod"].objects() == CRD_OBJECTS


@every_stack
def test_every_deployment_is_registered_through_the_port_forward(
    name: str, made: Mapping[str, Result], prefects: Mapping[str, httpx.Client]
) -> None:
    assert made
    registered = prefects[name].post("/deployments/filter", json={}).raise_for_status().json()
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert sorted(each["entrypoint"] for each in registered) == sorted(each["entrypoint"] for each in declared)


@every_stack
def test_a_refresh_sees_no_drift_and_a_second_update_changes_nothing(stack: Platform) -> None:
    stack.up("--refresh", "--expect-no-changes")


@pytest.mark.parametrize(
    ("name", "settings", "changed"),
    [
        (
            "dev",
            {"worker": {"pod": {"memoryRequest": "300Mi"}}, "dask": {"maximum": 3}},
            {"prefect-worker-dask-deployment": "update", "work-pool-dask": "update"},
        ),
        ("prod", {"quota": {"pods": 150}}, {"runs-quota": "update"}),
    ],
)
def test_a_preview_shows_the_resources_that_use_a_changed_setting_and_nothing_else(
    stack: Platform, settings: Mapping[str, Any], changed: Mapping[str, str]
) -> None:
    planned = stack.plan(**settings)
    assert (planned.code, planned.steps()) == (0, changed)


@pytest.mark.parametrize("name", ["dev"])
def test_pods_reach_the_api_server_that_the_cluster_names_and_a_new_address_is_a_change(
    stack: Platform, kubernetes: Kubernetes
) -> None:
    live = ["get", "networkpolicy", "flow-run", "-n", stack.runs_namespace, "-o", "json"]
    egress = json.loads(kubernetes.kubectl(*live))["spec"]["egress"]
    blocks = {peer["ipBlock"]["cidr"] for rule in egress for peer in rule["to"] if "ipBlock" in peer}
    assert blocks == {f"{NODE_IP}/32", f"{API_SERVICE_IP}/32"}
    kubernetes.kubectl("apply", "-f", "-", stdin=SECOND_API_SERVER)
    planned = stack.plan()
    kubernetes.kubectl("delete", "-n", "default", "endpointslice", SECOND_API_SERVER["metadata"]["name"])
    policies = ("network-prefect-worker", "network-dask-operator", "network-dask-reaper", "runs-network-flow-run")
    assert (planned.code, planned.steps()) == (
        0,
        dict.fromkeys(("preflight", *policies, "access", "runs-access"), "update"),
    )


@every_stack
def test_the_namespace_of_runs_admits_every_pod_and_cluster_of_a_run(
    name: str, stack: Platform, kubernetes: Kubernetes
) -> None:
    rendered = [each for each in test_scan.manifests(name) if each["kind"] in ("Job", "Pod")]
    [job] = [each for each in rendered if each["kind"] == "Job"]
    for misplaced in ("parallelism", "completions"):
        # The worker refuses a template that has them elsewhere; Kubernetes drops them.
        del job["spec"]["template"]["spec"][misplaced]
    # Pod Security looks at pods: a Job is admitted even when none of its pods would be.
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "run"}, "spec": job["spec"]["template"]["spec"]}
    there = ["create", "--dry-run=server", "--validate=strict", "-f", "-"]
    for each in [*rendered, pod, test_scan.dask_cluster()]:
        metadata = {**each["metadata"], "name": "run", "namespace": stack.runs_namespace}
        kubernetes.kubectl(*there, stdin={**each, "metadata": metadata})
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    refused = kubernetes.try_kubectl(*there, "--namespace", stack.runs_namespace, stdin=pod)
    assert 'violates PodSecurity "restricted' in refused.stderr


@every_stack
def test_the_state_of_a_deployment_is_small_and_nothing_in_it_names_a_path_of_the_machine(stack: Platform) -> None:
    resources = stack.export()["deployment"]["resources"]
    ours = [each for each in resources if each["type"] != "pulumi:pulumi:Stack"]
    frames = [frame.get("sourcePosition", "") for each in ours for frame in each.get("stackTrace", ())]
    assert frames
    assert {frame for frame in frames if not frame.startswith(("project:///infra/", "project:///__main__.py"))} == set()
    deployments = [each for each in resources if each["type"].endswith("/prefect:Deployment")]
    sizes = {each["id"]: len(json.dumps(each, separators=(",", ":"))) for each in deployments}
    assert sizes
    assert {name: size for name, size in sizes.items() if size > LARGEST_DEPLOYMENT} == {}


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The results of changes from outside to stack dev, all at once.

    Attributes:
        plain: a preview with a refresh, by plain Pulumi.
        planned: the same in the environment of `make`.
        update: the update after it.
        before: objects before all that.
        after: objects after it.

    """

    plain: Result
    planned: Result
    update: Result
    before: Mapping[str, Any]
    after: Mapping[str, Any]


@pytest.fixture(scope="module")
def drift(stacks: Mapping[str, Platform], made: Mapping[str, Result], kubernetes: Kubernetes) -> Drift:
    assert made
    stack = stacks["dev"]
    everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
    somebody = {"kind": "ServiceAccount", "name": "default", "namespace": stack.runs_namespace}
    platform, runs = stack.namespace, stack.runs_namespace
    done: list[tuple[str, str, str, str, Any]] = [
        (runs, "replace", "role/prefect-worker", "/rules/0/verbs", ["*"]),
        (platform, "replace", "networkpolicy/prefect-server", "/spec/ingress/0/from", []),
        (runs, "add", "role/flow-run", "/rules/-", everything),
        (runs, "add", "rolebinding/prefect-worker", "/subjects/-", somebody),
        (runs, "add", "networkpolicy/dask-scheduler", "/spec/ingress/-", {}),
        (platform, "add", "networkpolicy/dns", "/spec/ingress", [{}]),
    ]
    before = ours(kubernetes)
    for namespace, op, what, path, value in done:
        patch = json.dumps([{"op": op, "path": path, "value": value}])
        kubernetes.kubectl("patch", what, "--namespace", namespace, "--type=json", "--patch", patch)
    kubernetes.kubectl("delete", "networkpolicy", "default-deny", "--namespace", runs)
    there = json.loads(kubernetes.kubectl("get", "crd", DASK_CRDS[0], "-o", "json"))
    kubernetes.kubectl(*definitions.APPLY, stdin=definitions.older(there))
    plain = stack.plan("--refresh")
    with mock.patch.dict(stack.environment, PREVIEW_LIKE_UPDATE):
        planned = stack.plan("--refresh")
    update = stack.up("--refresh")
    return Drift(plain=plain, planned=planned, update=update, before=before, after=ours(kubernetes))


def test_edits_additions_and_deletions_outside_are_previewed_and_reverted(drift: Drift) -> None:
    assert drift.planned.steps() == {
        "prefect-worker-identity-role": "update",
        "network-prefect-server": "update",
        "runs-network-default-deny": "create",
        "access": "update",
        "runs-access": "update",
        "dask-operator-daskautoscalers": "update",
    }
    assert drift.update.steps() == drift.planned.steps()
    assert {name: {**each, "metadata": {}} for name, each in drift.after.items()} == {
        name: {**each, "metadata": {}} for name, each in drift.before.items()
    }


def test_a_rule_added_to_a_role_or_policy_outside_is_reported_by_the_access_resource_alone(drift: Drift) -> None:
    """If the resources of the objects themselves reported it, `access` would not be needed."""
    assert drift.planned.fields("access") == ["NetworkPolicy/dns", "NetworkPolicy/prefect-server"]
    assert drift.planned.fields("runs-access") == [
        "NetworkPolicy/dask-scheduler",
        "Role/flow-run",
        "Role/prefect-worker",
        "RoleBinding/prefect-worker",
    ]
    own = ("runs-flow-run-role", "prefect-worker-identity-binding", "runs-network-dask-scheduler", "network-dns")
    assert not set(own) & set(drift.planned.steps())


def test_a_preview_with_drift_ends_with_a_field_manager_conflict_without_the_environment_of_make(drift: Drift) -> None:
    assert "conflict" in drift.plain.text, "the environment is not needed any more"


def test_crds_that_another_stack_applies_too_cause_no_conflict(drift: Drift) -> None:
    conflicts = [line for line in drift.plain.messages().splitlines() if "conflict" in line]
    assert conflicts
    assert not [line for line in conflicts if DASK_CRDS[0] in line or "daskautoscalers" in line]


@pytest.mark.parametrize("name", ["dev"])
def test_a_preview_refuses_a_namespace_of_another_stack_or_of_no_stack(stack: Platform) -> None:
    theirs = stack.plan(namespace=NAMESPACES["prod"])
    assert theirs.code != 0
    assert f"namespace 'flows-prod' belongs to stack organization/{PROJECT}/prod" in theirs.messages()
    nobodys = stack.plan(namespace="default")
    assert nobodys.code != 0
    assert "namespace 'default' exists already and belongs to no stack" in nobodys.messages()


@pytest.mark.parametrize("name", ["dev"])
@pytest.mark.parametrize(("mark", "sentence"), [("=9999.1.0", "newer than"), ("-", "installed by another tool")])
def test_a_preview_refuses_crds_that_are_newer_or_not_the_projects(
    mark: str, sentence: str, stack: Platform, kubernetes: Kubernetes
) -> None:
    definition = kubernetes.kubectl("get", "crd", DASK_CRDS[0], "-o", "json")
    version = json.loads(definition)["metadata"]["annotations"][naming.DASK_VERSION]
    annotate = ["annotate", "--overwrite", "crd", DASK_CRDS[0]]
    kubernetes.kubectl(*annotate, f"{naming.DASK_VERSION}{mark}")
    refused = stack.plan()
    kubernetes.kubectl(*annotate, f"{naming.DASK_VERSION}={version}")
    assert refused.code != 0
    assert DASK_CRDS[0] in refused.messages()
    assert sentence in refused.messages()


@pytest.mark.parametrize("name", ["prod"])
def test_an_ingress_and_cloud_identities_appear_when_set_and_disappear_when_unset(
    stack: Platform, kubernetes: Kubernetes
) -> None:
    host, of_a_cloud = "prefect.example.com", {"eks.amazonaws.com/role-arn": "arn:aws:iam::111122223333:role/flows"}
    accounts = {
        "dask": "dask",
        "flowRun": "flow-run",
        "operator": "dask-operator",
        "reaper": "dask-reaper",
        "server": "prefect-server",
        "worker": "prefect-worker",
    }
    made = stack.change(
        prefect={"ingress": {"host": host, "className": "nginx", "tlsSecret": "certificate"}},
        identities={identity: {"annotations": of_a_cloud} for identity in accounts},
    )
    assert made.steps()["prefect-server-ingress"] == "create"
    there = ["--namespace", stack.namespace, "-o", "json"]
    ingress = json.loads(kubernetes.kubectl("get", "ingress", "prefect-server", *there))["spec"]
    backend = {"service": {"name": "prefect-server", "port": {"name": "http"}}}
    assert ingress == {
        "ingressClassName": "nginx",
        "tls": [{"hosts": [host], "secretName": "certificate"}],
        "rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
    }
    everywhere = ["--all-namespaces", "-o", "json"]
    owned = (stack.namespace, stack.runs_namespace)
    listed = json.loads(kubernetes.kubectl("get", "serviceaccounts", *everywhere))["items"]
    existing = [each for each in listed if each["metadata"]["namespace"] in owned]
    annotations = {each["metadata"]["name"]: each["metadata"].get("annotations", {}) for each in existing}
    assert [name for name in accounts.values() if not of_a_cloud.items() <= annotations[name].items()] == []
    again = stack.up()
    assert again.steps()["prefect-server-ingress"] == "delete"
    assert "eks.amazonaws.com" not in kubernetes.kubectl("get", "serviceaccounts", *everywhere)


@pytest.mark.parametrize("name", ["prod"])
def test_a_protected_stack_cannot_be_destroyed_until_it_is_unprotected(stack: Platform, kubernetes: Kubernetes) -> None:
    before = ours(kubernetes)
    refused = stack.attempt("destroy", "--yes", "--skip-preview")
    assert refused.code != 0
    assert "pulumi state unprotect" in refused.text
    assert set(ours(kubernetes)) == set(before)
    stack.run("state", "unprotect", "--all", "--yes")
    theirs = stack.objects() - CRD_OBJECTS
    stack.destroy()
    assert set(ours(kubernetes)) == set(before) - theirs


@pytest.mark.parametrize("name", ["dev"])
def test_the_last_destroy_leaves_only_the_crds(stack: Platform, kubernetes: Kubernetes) -> None:
    stack.destroy()
    assert set(ours(kubernetes)) == CRD_OBJECTS
    assert not any(each in kubernetes.kubectl("get", "namespaces", "-o", "name") for each in NAMESPACES.values())
