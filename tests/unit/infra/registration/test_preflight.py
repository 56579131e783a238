from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from infra.registration import admission, api_server, claims, kubernetes
from infra.registration.api_server import ApiServer
from infra.registration.claims import Claim, Volumes
from infra.registration.cluster_state import DASK_CRDS, ClusterState, Operator, node_platforms
from infra.registration.errors import UnreachableError
from infra.registration.preflight import PreflightArgs, PreflightProvider, errors
from infra.registration.references import Lookup

ARGS = PreflightArgs(
    namespace="flows",
    runs_namespace="flows-runs",
    stack_annotation="ephemeral-dask/stack",
    stack="team/ephemeral-dask/dev",
    operator="install",
    operator_namespace=None,
    version_annotation="ephemeral-dask/dask-kubernetes",
    version="2026.3.0",
)
EXISTING = dataclasses.replace(ARGS, operator="existing", operator_namespace="dask")
OURS = {name: {ARGS.stack_annotation: ARGS.stack} for name in ARGS.namespaces}


@pytest.fixture(autouse=True)
def volumes(monkeypatch: pytest.MonkeyPatch) -> list[Claim]:
    """Provide the claims of the stack that the cluster has."""
    live: list[Claim] = []
    monkeypatch.setattr(claims, "read", lambda *_: Volumes(claims=tuple(live)))
    return live


@pytest.fixture(autouse=True)
def policies(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Provide why the cluster takes no admission policies."""
    refusals: list[str] = []
    monkeypatch.setattr(
        admission, "look_up", lambda *_, enabled, **__: Lookup(errors=tuple(refusals) if enabled else ())
    )
    return refusals


def crds(version: str | None = "2026.3.0") -> dict[str, dict[str, str]]:
    return {name: {} if version is None else {ARGS.version_annotation: version} for name in DASK_CRDS}


def operator(*options: str, namespace: str = "dask") -> Operator:
    command = ("kopf", "run", "-m", "dask_kubernetes.operator", *options)
    return Operator(namespace=namespace, name="dask-operator", command=command)


@pytest.mark.parametrize(
    "cluster",
    [
        ClusterState(),
        ClusterState(namespaces=OURS, crds=crds()),
        # Ours and older is upgraded.
        ClusterState(namespaces=OURS, crds=crds("2025.7.0")),
        ClusterState(crds=crds(), operators=(operator("--namespace=other"), operator("-n", "third"))),
        # The stack's own.
        ClusterState(namespaces=OURS, crds=crds(), operators=(operator("--namespace=flows-runs", namespace="flows"),)),
    ],
)
def test_a_cluster_without_conflicts_passes(cluster: ClusterState) -> None:
    assert errors(ARGS, cluster) == []


@pytest.mark.parametrize("annotations", [{}, {ARGS.stack_annotation: "team/ephemeral-dask/prod"}])
@pytest.mark.parametrize(("name", "key"), [("flows", "namespace"), ("flows-runs", "runsNamespace")])
def test_a_foreign_namespace_is_refused_with_the_command_that_hands_it_over(
    name: str, key: str, annotations: dict[str, str]
) -> None:
    [text] = errors(ARGS, ClusterState(namespaces={name: annotations}))
    assert f"namespace '{name}'" in text
    assert f"choose another `{key}`" in text
    assert f"kubectl annotate --overwrite namespace {name} ephemeral-dask/stack=team/ephemeral-dask/dev" in text


def test_a_stack_that_is_up_under_another_name_of_the_project_is_refused_with_both_names() -> None:
    theirs = dataclasses.replace(ARGS, stack="team/acme-flows/dev")
    [text, _] = errors(theirs, ClusterState(namespaces=OURS))
    assert "belongs to stack team/ephemeral-dask/dev, and this stack is team/acme-flows/dev" in text
    assert "write `name: ephemeral-dask` again" in text
    assert "kubectl annotate" not in text


def test_live_runs_where_an_earlier_version_ran_them_are_refused() -> None:
    [text] = errors(ARGS, ClusterState(namespaces=OURS, platform_jobs=("happy-fox-1", "sad-cat-2")))
    assert "2 flow run(s) are live in namespace 'flows' (happy-fox-1, sad-cat-2)" in text
    assert "runs move to 'flows-runs'" in text


def test_crds_of_another_tool_are_refused_with_the_operator_mode_that_uses_them() -> None:
    [text] = errors(ARGS, ClusterState(crds=crds(None)))
    assert "daskclusters.kubernetes.dask.org" in text
    assert "mode: existing" in text


def test_a_downgrade_of_the_crds_is_refused() -> None:
    messages = errors(ARGS, ClusterState(crds=crds("2026.10.0")))
    assert len(messages) == len(DASK_CRDS)
    assert "2026.10.0, newer than 2026.3.0" in messages[0]


@pytest.mark.parametrize("command", [(), ("-A",), ("--namespace=flows-runs",), ("-n", "flows-runs")])
def test_a_second_operator_for_the_same_namespace_is_refused(command: tuple[str, ...]) -> None:
    [text] = errors(ARGS, ClusterState(crds=crds(), operators=(operator(*command),)))
    assert "dask/dask-operator watches namespace 'flows-runs' already" in text


def test_an_existing_operator_needs_its_crds_and_must_run_and_watch_the_namespace() -> None:
    assert "has no CRD daskautoscalers" in errors(EXISTING, ClusterState())[0]
    assert (
        "no Dask operator runs there (namespaces with one: none)" in errors(EXISTING, ClusterState(crds=crds(None)))[0]
    )
    bound = ClusterState(crds=crds(None), operators=(operator("--namespace=other"),))
    assert "does not watch namespace 'flows-runs'" in errors(EXISTING, bound)[0]
    assert errors(EXISTING, ClusterState(crds=crds(None), operators=(operator(),))) == []


def props() -> dict[str, Any]:
    return {name: value for name, value in vars(ARGS).items() if value is not None and value != ()}


def test_preflight_errors_fail_the_preview(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ClusterState(namespaces={"flows": {}})
    monkeypatch.setattr(kubernetes, "cluster_state", lambda _namespaces, _context: foreign)
    [failure] = PreflightProvider().check({}, props()).failures
    assert "exists already" in failure.reason


def test_a_cluster_without_admission_policies_fails_the_preview_of_a_stack_that_has_some(
    monkeypatch: pytest.MonkeyPatch, policies: list[str]
) -> None:
    monkeypatch.setattr(kubernetes, "cluster_state", lambda _namespaces, _context: ClusterState())
    policies.append("too old")
    [failure] = PreflightProvider().check({}, props()).failures
    assert failure.reason == "too old"
    assert PreflightProvider().check({}, {**props(), "admission": False}).failures == []


def test_an_unreachable_cluster_does_not_fail_the_preview(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(_namespaces: tuple[str, str], _context: str | None) -> ClusterState:
        raise UnreachableError("Could not read", why="no answer", remedy="start it")

    monkeypatch.setattr(kubernetes, "cluster_state", unreachable)
    assert PreflightProvider().check({}, props()).failures == []
    assert "The preflight could not read the cluster" in capsys.readouterr().err


def test_only_changed_inputs_are_a_change() -> None:
    assert PreflightProvider().diff("flows", props(), {**props(), "__provider": "x"}).changes is False
    assert PreflightProvider().diff("flows", props(), {**props(), "version": "2027.1.0"}).changes is True


def node(architecture: str = "amd64", system: str = "linux", **spec: Any) -> dict[str, Any]:
    return {"spec": spec, "status": {"nodeInfo": {"architecture": architecture, "operatingSystem": system}}}


@pytest.mark.parametrize(
    ("nodes", "platforms"),
    [
        ([], ()),
        ([node()], ("linux/amd64",)),
        ([node("arm64"), node(), node()], ("linux/amd64", "linux/arm64")),
        ([node(), node("arm64", unschedulable=True)], ("linux/amd64",)),
        ([node(), node("arm64", taints=[{"key": "spot", "effect": "NoSchedule"}])], ("linux/amd64",)),
        ([node(), node("arm64", taints=[{"key": "x", "effect": "PreferNoSchedule"}])], ("linux/amd64", "linux/arm64")),
        ([node("arm64", taints=[{"key": "spot", "effect": "NoExecute"}])], ("linux/arm64",)),
        ([node(), node("amd64", "windows"), {"spec": {}, "status": {}}, {}], ("linux/amd64",)),
    ],
)
def test_the_platforms_of_nodes_are_those_where_a_pod_of_ours_can_run(
    nodes: list[dict[str, Any]], platforms: tuple[str, ...]
) -> None:
    assert node_platforms(nodes) == platforms


def test_images_that_no_node_can_run_are_refused_with_the_setting_to_write() -> None:
    apple = dataclasses.replace(ARGS, platforms=("linux/arm64",))
    [text] = errors(apple, ClusterState(platforms=("linux/amd64",)))
    assert "image.platforms is [linux/arm64], and the cluster's nodes are linux/amd64" in text
    assert "set `image.platforms` to [linux/amd64]" in text
    assert errors(apple, ClusterState(platforms=("linux/amd64", "linux/arm64"))) == []
    assert errors(apple, ClusterState()) == []
    assert errors(ARGS, ClusterState(platforms=("linux/amd64",))) == []


def test_nodes_that_the_image_leaves_out_are_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mixed = ClusterState(platforms=("linux/amd64", "linux/arm64"))
    monkeypatch.setattr(kubernetes, "cluster_state", lambda _namespaces, _context: mixed)
    assert PreflightProvider().check({}, {**props(), "platforms": ["linux/amd64"]}).failures == []
    assert "image.platforms leaves out linux/arm64" in capsys.readouterr().err
    PreflightProvider().check({}, props())
    assert capsys.readouterr().err == ""


def test_platforms_of_nodes_are_kept_when_they_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(cluster: ClusterState, olds: dict[str, Any]) -> Any:
        monkeypatch.setattr(kubernetes, "cluster_state", lambda _namespaces, _context: cluster)
        return PreflightProvider().check(olds, {**props(), "node_platforms": None}).inputs.get("node_platforms")

    # Not None: a preview would take that for unknown, and announce new images.
    assert check(ClusterState(), {}) == []
    assert check(ClusterState(platforms=("linux/arm64",)), {"node_platforms": ["linux/amd64"]}) == ["linux/arm64"]
    assert check(ClusterState(), {"node_platforms": ["linux/amd64"]}) == ["linux/amd64"]


def test_the_api_servers_addresses_are_those_of_the_cluster_unless_the_stack_file_has_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    last, live = [{"cidr": "192.0.2.1/32", "ports": [443]}], ({"cidr": "192.0.2.2/32", "ports": [6443]},)
    calls: list[Any] = []

    def look_up(_context: Any, *, last: Any) -> ApiServer:
        calls.append(last)
        return ApiServer(peers=live, warnings=("looked",))

    monkeypatch.setattr(kubernetes, "cluster_state", lambda _namespaces, _context: ClusterState())
    monkeypatch.setattr(api_server, "look_up", look_up)
    olds = {"api_server": last}
    check = PreflightProvider().check(olds, {**props(), "reads_api_server": True})
    assert (check.inputs["api_server"], calls) == (list(live), [last])
    assert "looked" in capsys.readouterr().err
    # A list, though an empty one: a preview would take None for unknown.
    assert PreflightProvider().check(olds, props()).inputs["api_server"] == []
    assert len(calls) == 1


def test_a_volume_that_the_update_would_delete_fails_the_preview_unless_it_is_named(
    monkeypatch: pytest.MonkeyPatch, volumes: list[Claim]
) -> None:
    monkeypatch.setattr(kubernetes, "cluster_state", lambda _namespaces, _context: ClusterState(namespaces=OURS))
    volumes.append(Claim(namespace="flows", name="results"))
    declared = {**props(), "claims": [{"namespace": "flows-runs", "name": "results", "access_mode": "ReadWriteOnce"}]}
    [failure] = PreflightProvider().check({}, declared).failures
    assert "would delete volume flows/results with its data" in failure.reason
    monkeypatch.setenv(claims.VARIABLE, "flows/results")
    assert PreflightProvider().check({}, declared).failures == []
