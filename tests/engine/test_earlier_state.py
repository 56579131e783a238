"""A stack that an earlier commit brought up, previewed by the program of today, on an empty control plane.

`states/<stack>.jsonl` is the state of commit cc49d70, from before the refactoring of names and packages. Only the
resources listed below may be created, replaced or deleted, and only the inputs listed below may be updated.
A change to what a stack registers also changes the lists.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.engine import control_plane, earlier_state
from tests.engine.commands import Result
from tests.engine.control_plane import Kubernetes
from tests.engine.test_platform import SECRETS, Platform

STATES: Final = {path.stem: path for path in (Path(__file__).parent / "states").glob("*.jsonl")}

_KINDS: Final = (
    "kubernetes:core/v1:Namespace",
    "kubernetes:core/v1:ServiceAccount",
    "kubernetes:networking.k8s.io/v1:NetworkPolicy",
    "kubernetes:rbac.authorization.k8s.io/v1:Role",
    "kubernetes:apps/v1:Deployment",
    "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition",
)
"""What the earlier stack is given in the control plane, because the program of today updates objects of these kinds."""

_VARIABLE: Final = "base_job_template.variables.properties"
_ENV: Final = "base_job_template.job_configuration.env"
_DEPLOYMENT_IDS: Final = "trigger.match_related.prefect.resource.id"
"""A preview does not know the id of a deployment that it updates."""
_CONTAINER: Final = "spec.template.spec.containers.0"
_ACCOUNT: Final = "spec.template.spec.serviceAccountName"
"""A preview does not know it while the account's RoleBinding is replaced; the update finds it the same."""
_QUANTITIES: Final = (
    "cpu_limit",
    "cpu_request",
    "dask_worker_cpu",
    "dask_worker_memory",
    "memory_limit",
    "memory_request",
)
UPDATES: Final[Mapping[str, tuple[str, ...]]] = {
    # Images are built for the platforms of the nodes; volumes with data are not deleted silently.
    "preflight": (
        *("admission", "api_server", "claims", "node_platforms", "reads_api_server", "result_folders"),
        "runs_namespace",
    ),
    # Only the API server itself is open, and no database where there is none.
    "network-prefect-worker": ("spec.egress",),
    # Runs have a namespace of their own (ADR 14).
    "dask-operator-deployment": (_ACCOUNT, f"{_CONTAINER}.command", f"{_CONTAINER}.env"),
    "network-dask-operator": ("spec.egress",),
    # A pod in a Dask object may have any field (ADR 25).
    **{
        f"dask-operator-{kind}": ("spec.versions.0.schema",)
        for kind in ("daskclusters", "daskjobs", "daskworkergroups")
    },
    "drain": ("deployments", "namespace"),
    # The reaper decides whether a run lives (ADR 9), and asks the Prefect API.
    "dask-reaper-deployment": (
        *(_ACCOUNT, f"{_CONTAINER}.command", f"{_CONTAINER}.env"),
        "spec.template.metadata.annotations",
    ),
    "network-dask-reaper": ("spec.egress",),
    "network-prefect-server": ("spec.ingress.0.from", "spec.egress", "spec.policyTypes"),
    "prefect-worker-dask-deployment": (_ACCOUNT, f"{_CONTAINER}.env"),
    # Readiness asks the database; leases outlive the server's process; a correction for SQLite.
    "prefect-server-deployment": (
        f"{_CONTAINER}.command",
        f"{_CONTAINER}.env",
        f"{_CONTAINER}.readinessProbe",
        "spec.template.spec.initContainers.0.env",
    ),
    "access": (
        "NetworkPolicy/dask-reaper.egress",
        "NetworkPolicy/prefect-server",
        "NetworkPolicy/prefect-services",
        "NetworkPolicy/prefect-worker.egress",
        # What moved is kept by `runs-access`.
        "NetworkPolicy/dask-operator.egress",
        *(f"NetworkPolicy/{name}" for name in ("dask-scheduler", "dask-worker", "flow-run")),
        *("Role/", "RoleBinding/"),
    ),
    "work-pool-dask": (
        # Unified with the settings, which had these bounds before.
        f"{_VARIABLE}.dask_idle_timeout.minimum",
        f"{_VARIABLE}.dask_start_timeout.minimum",
        # A run starts a new Dask cluster when it loses its own (ADR 10).
        f"{_VARIABLE}.dask_restarts",
        f"{_ENV}.EPHEMERAL_DASK_DEFAULT_RESTARTS",
        f"{_ENV}.EPHEMERAL_DASK_RESTARTS",
        # The job variable `env` reaches the Dask pods, without the platform's own names.
        f"{_VARIABLE}.env.propertyNames",
        # Each Dask cluster has certificates of its own (ADR 18).
        f"{_ENV}.EPHEMERAL_DASK_TLS",
        # Nor does a run set labels of the platform, or what cannot be an image.
        f"{_VARIABLE}.labels.propertyNames",
        f"{_VARIABLE}.image.pattern",
        f"{_ENV}.EPHEMERAL_DASK_ENV",
        # A failed pull step is reported to Prefect.
        f"{_ENV}.PREFECT_PLUGINS_",
        # A flow image of another release is named in the log of the run.
        f"{_ENV}.EPHEMERAL_DASK_RELEASE",
        f"{_ENV}.EPHEMERAL_DASK_NAMESPACE",
        # A Dask cluster has the label of its deployment, which has a table of its runs.
        f"base_job_template.job_configuration.job_manifest.{_CONTAINER}.env",
        # A run mounts the results of its own deployment (ADR 20).
        f"base_job_template.job_configuration.job_manifest.{_CONTAINER}.volumeMounts",
        "base_job_template.job_configuration.namespace",
        "base_job_template.job_configuration.job_manifest.metadata.namespace",
        # A number is a quantity.
        *(f"{_VARIABLE}.{name}.{field}" for name in _QUANTITIES for field in ("anyOf", "type")),
    ),
}
"""Resource -> beginnings of the inputs that differ, beside titles and descriptions of job variables."""

GONE: Final = {"crash-detection-dask": "delete"}
"""The automation that waited for heartbeats: the reaper judges runs instead (ADR 9)."""

GONE_WITH_SQLITE: Final = {"network-prefect-services": "delete"}
"""Processes that SQLite does not allow, and their way to a database."""

MOVED: Final[Mapping[str, str]] = {
    **{
        f"flows-{name}": f"runs-{name}"
        for name in (
            *("limits", "quota", "dask", "dask-account"),
            *("flow-run", "flow-run-account", "flow-run-role", "flow-run-binding"),
        )
    },
    **{f"network-{name}": f"runs-network-{name}" for name in ("flow-run", "dask-scheduler", "dask-worker")},
}
"""Resource -> the one that takes its place in the namespace of runs (ADR 14)."""

_POLICIES: Final = ("creators", "dask-pods", "flow-pods", "runs", "secrets", "services")

ADDED: Final = (
    *("runs", "runs-namespace", "runs-network", "runs-network-default-deny", "runs-network-dns"),
    *("runs-access", "runs-prefect-credential"),
    "admission",
    *(f"admission-{name}{part}" for name in _POLICIES for part in ("", "-binding")),
)
"""What the namespace of runs has as well as the platform's, and its admission policies (ADR 15)."""

REPLACED: Final = (
    *(
        f"{name}-identity-{part}"
        for name in ("dask-operator", "dask-reaper", "prefect-worker")
        for part in ("role", "binding")
    ),
    "results-claim",
)
"""What moves under its own name: permissions of the platform in the namespace of runs, and the results."""

DEPLOYMENTS: Final = {"description", "tags", "pull_steps"}
"""Inputs of a sample's deployment that may differ: prefect.yaml and the sample's docstring decide about them."""

pytestmark = pytest.mark.xdist_group("earlier-state")
every_stack = pytest.mark.parametrize("name", sorted(STATES))


@pytest.fixture(scope="module")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    with control_plane.running(tmp_path_factory.mktemp("kubernetes"), {}) as running:
        yield running


@pytest.fixture(scope="module")
def previews(
    pulumi_cli: str,  # noqa: ARG001
    kubernetes: Kubernetes,
    tmp_path_factory: pytest.TempPathFactory,
) -> Mapping[str, Result]:
    """Stack -> the preview of its imported state."""
    return {name: Imported(tmp_path_factory.mktemp(name), name, kubernetes).plan() for name in STATES}


class Imported(Platform):
    """A stack of the repository with the state of a fixture."""

    def __init__(self, folder: Path, name: str, kubernetes: Kubernetes) -> None:
        super().__init__(folder, name, kubernetes)
        salt, state = earlier_state.restored(STATES[name])
        content = yaml.safe_load(self._file.read_text())
        self._file.write_text(yaml.safe_dump({**content, "encryptionsalt": salt}))
        for key, value in SECRETS[name].items():
            self.run("config", "set", "--secret", key, value)
        # A preview asks the API server what an update would do to the object that is there.
        objects = [each["inputs"] for each in state["deployment"]["resources"] if each["type"].startswith(_KINDS)]
        for each in sorted(objects, key=lambda each: each["kind"] != "Namespace"):
            manager = ("--server-side", "--field-manager=pulumi-kubernetes")
            kubernetes.kubectl("apply", *manager, "--filename", "-", stdin=each)
        file = folder / "state.json"
        file.write_text(json.dumps(state))
        self.run("stack", "import", "--file", str(file))


def changes(old: Any, new: Any, path: str = "") -> set[str]:
    """Return the paths of all values that differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys: set[Any] = {*old, *new}
        return {each for key in keys for each in changes(old.get(key), new.get(key), f"{path}.{key}")}
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return {each for i, pair in enumerate(zip(old, new, strict=True)) for each in changes(*pair, f"{path}.{i}")}
    return set() if old == new else {path.removeprefix(".")}


@every_stack
def test_nothing_is_created_deleted_or_replaced_but_what_moves_to_the_namespace_of_runs(
    name: str, previews: Mapping[str, Result]
) -> None:
    preview = previews[name]
    assert preview.code == 0, preview.messages()
    before = {each["urn"].rpartition("::")[2] for each in earlier_state.read(STATES[name])[1:]}
    moved = {old: new for old, new in MOVED.items() if old in before}
    secret = (
        {"runs-prefect-credential-secret", "prefect-credential-gate"}
        if "prefect-credential-secret" in before
        else set()
    )
    folders = {f"admission-results{part}" for part in ("", "-binding") if "results-claim" in before}
    assert {resource: operation for resource, operation in preview.steps().items() if operation != "update"} == {
        **GONE,
        **(GONE_WITH_SQLITE if name == "dev" else {}),
        **dict.fromkeys(moved, "delete"),
        **dict.fromkeys((*moved.values(), *ADDED, *secret, *folders), "create"),
        # The last step of a replacement: the new object is created before the old one is deleted.
        **dict.fromkeys((each for each in REPLACED if each in before), "delete-replaced"),
    }


@every_stack
def test_the_only_updates_are_those_of_the_list(name: str, previews: Mapping[str, Result]) -> None:
    updates = {
        resource: {path for path in changes(old, new) if not _expected_everywhere(path)}
        for resource, (old, new) in previews[name].updates().items()
    }
    samples = {key.replace("/", "-") for key in _deployments(STATES[name])}
    others = {resource: paths for resource, paths in updates.items() if resource not in samples}
    assert {
        resource: unlisted
        for resource, paths in others.items()
        if (unlisted := {path for path in paths if not path.startswith(UPDATES.get(resource, ()))})
    } == {}
    assert set(others) == set(UPDATES)
    assert {path for resource in samples for path in updates.get(resource, ())} <= DEPLOYMENTS


def _expected_everywhere(path: str) -> bool:
    pods = f"{_CONTAINER}.livenessProbe.timeoutSeconds", f"{_CONTAINER}.terminationMessagePolicy"
    return path.startswith((_DEPLOYMENT_IDS, *pods)) or (
        path.startswith(_VARIABLE) and path.endswith((".title", ".description"))
    )


def _deployments(fixture: Path) -> set[str]:
    _, *resources = earlier_state.read(fixture)
    return {each["id"] for each in resources if each["type"].endswith("prefect:Deployment")}
