from __future__ import annotations

from pathlib import Path

import pytest

from tools import stackfile, targets
from tools.errors import Problem
from tools.target import CLUSTERS, Target
from tools.toolchain import preflight
from tools.verbs import data


@pytest.fixture(autouse=True)
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("EPHEMERAL_DASK_STATE", str(tmp_path))
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    return tmp_path


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_each_cluster_has_settings_that_the_stack_file_accepts_before_it_runs(cluster: str) -> None:
    content = stackfile.read("dev")
    assert stackfile.check("dev", content, targets.named(cluster, "dev").overrides).namespace == "flows"


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_each_cluster_has_checks_with_titles_and_names_pulumi(cluster: str) -> None:
    titles = [title for title, _ in targets.named(cluster, "dev").preconditions()]
    assert len(titles) == len(set(titles))
    assert any("Pulumi" in title for title in titles)


def test_clusters_of_this_projects_own_have_states_of_their_own(state: Path) -> None:
    of = {name: Target(cluster=name, environment={}, overrides={}) for name in CLUSTERS}
    assert {name: target.managed for name, target in of.items()} == {"local": True, "kind": True, "existing": False}
    assert [name for name, target in of.items() if target.reaches_services] == ["local"]
    assert (of["local"].state, of["kind"].state) == (state, state / "kind")


def test_a_stack_file_for_other_nodes_still_builds_for_the_node_of_kind() -> None:
    content = {"config": {"ephemeral-dask:image": {"registry": "r", "platforms": ["linux/amd64"]}}}
    image = stackfile.check("dev", content, targets.named("kind", "dev").overrides).image
    assert image.platforms == ()  # type: ignore[union-attr]  # those of the node
    assert image.registry == "localhost:5001"  # type: ignore[union-attr]


def test_a_cluster_of_others_is_not_stopped() -> None:
    with pytest.raises(Problem, match="not this project's to stop"):
        targets.named("existing", "dev").stop()


def test_kind_is_deleted_after_a_yes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    data.confirm_cluster(yes=False, ask=lambda _: "y")
    data.confirm_cluster(yes=True, ask=lambda _: pytest.fail("it was asked"))
    with pytest.raises(Problem, match="was not deleted"):
        data.confirm_cluster(yes=False, ask=lambda _: "")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    with pytest.raises(Problem, match="make cluster-down YES=1"):
        data.confirm_cluster(yes=False, ask=lambda _: "y")


def test_without_kubectl_and_a_way_to_build_it_an_existing_cluster_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("EPHEMERAL_DASK_CACHE", str(tmp_path / "cache"))
    checks = dict(targets.named("existing", "dev").preconditions())
    assert preflight(["kubernetes"])
    assert "kubectl" in str(*checks["cluster of the stack"]())
