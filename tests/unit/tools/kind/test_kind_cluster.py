"""The cluster of kind, with programs for `docker` and `kind` that record what they are asked and answer like them.

A real cluster is started by .github/workflows/kind.yml.
"""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pytest
import yaml

from tools.errors import Problem
from tools.kind import KindCluster, config, docker, programs

DOCKER = r"""#!/bin/sh
# Replaces docker: a container exists if there is a file of its name, with `true` or `false` as whether it runs.
# The variable is shown for what must not reach it.
forced="${DOCKER_DEFAULT_PLATFORM:+ [$DOCKER_DEFAULT_PLATFORM]}"
echo "docker $*$forced${BUILDX_CONFIG:+ [buildx $BUILDX_CONFIG]}" >> "$FAKE/commands"
case "$1 $2" in
"info "*)
    cat "$FAKE/info.json"
    if [ -e "$FAKE/info.error" ]; then cat "$FAKE/info.error" >&2; exit 1; fi
    if [ -e "$FAKE/hangs" ]; then exec sleep 60; fi ;;
"container inspect")
    for name; do :; done
    if [ ! -e "$FAKE/$name" ]; then echo "Error: No such container: $name" >&2; exit 1; fi
    case "$4" in *Networks*) cat "$FAKE/networks" ;; *) cat "$FAKE/$name" ;; esac ;;
"run "*)
    if [ -e "$FAKE/offline" ]; then echo "dial tcp: lookup registry-1.docker.io: no such host" >&2; exit 125; fi
    echo true > "$FAKE/ephemeral-dask-registry" ;;
"start "*) echo true > "$FAKE/$2" ;;
"rm "*) for name; do :; done; rm -f "$FAKE/$name" ;;
"exec "*) [ "$2" != --interactive ] || cat > "$FAKE/hosts.toml" ;;
"network connect") echo '{"bridge":{},"kind":{}}' > "$FAKE/networks" ;;
"buildx inspect") [ -e "$FAKE/builder" ] || exit 1 ;;
"buildx create") touch "$FAKE/builder" ;;
"buildx version") [ ! -e "$FAKE/without-buildx" ] || exit 1 ;;
"buildx rm") rm -f "$FAKE/builder" ;;
esac
"""

KIND = r"""#!/bin/sh
echo "kind $*${DOCKER_DEFAULT_PLATFORM:+ [$DOCKER_DEFAULT_PLATFORM]}" >> "$FAKE/commands"
case "$1 $2" in
"version ") echo "kind v$(cat "$FAKE/version") go1.26.4 linux/amd64" ;;
"create cluster")
    echo true > "$FAKE/ephemeral-dask-control-plane"
    if [ -e "$FAKE/killed" ]; then echo "ERROR: failed to create cluster" >&2; exit 1; fi ;;
"export kubeconfig") touch "$6" ;;
"delete cluster") rm -f "$FAKE/ephemeral-dask-control-plane" ;;
esac
"""

NODE, REGISTRY = "ephemeral-dask-control-plane", "ephemeral-dask-registry"


class Fake:
    """Docker and kind."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.informs()
        (folder / "networks").write_text('{"bridge":{}}')
        (folder / "version").write_text("0.33.0")
        for name, program in (("docker", DOCKER), ("kind", KIND)):
            (folder / name).write_text(program)
            (folder / name).chmod(0o755)

    def informs(self, **facts: object) -> None:
        info = {"OSType": "linux", "Architecture": "aarch64", "MemTotal": 8 << 30, "NCPU": 4, **facts}
        (self.folder / "info.json").write_text(json.dumps(info))

    def has(self, name: str) -> None:
        (self.folder / name).touch()

    def commands(self, *parts: str) -> list[str]:
        file = self.folder / "commands"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in lines if all(part in line for part in parts)]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    folder = tmp_path / "fake"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.defpath}")
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("EPHEMERAL_DASK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tools.ports.free", lambda port: port)
    return Fake(folder)


@pytest.fixture
def cluster(tmp_path: Path) -> KindCluster:
    return KindCluster(tmp_path / "state")


def messages(cluster: KindCluster) -> str:
    return "\n".join(map(str, cluster.problems()))


def test_a_start_makes_registry_node_and_builder_that_share_a_name(fake: Fake, cluster: KindCluster) -> None:
    cluster.up()
    [registry] = fake.commands("docker run")
    assert "--publish 127.0.0.1:5001:5000" in registry
    [created] = fake.commands("kind create cluster")
    assert f"--image {config.NODE_IMAGE}" in created
    assert f"--kubeconfig {cluster.kubeconfig}" in created
    assert fake.commands(f"network connect kind {REGISTRY}")
    assert fake.commands("exec --interactive", "/etc/containerd/certs.d/localhost:5001/hosts.toml")
    assert f'[host."http://{REGISTRY}:5000"]' in (fake.folder / "hosts.toml").read_text()
    assert fake.commands("buildx create --name ephemeral-dask", "network=host", str(cluster.state / "buildx"))
    assert cluster.status() == []


def test_the_nodes_description_is_in_kinds_format(fake: Fake, cluster: KindCluster) -> None:
    assert fake
    cluster.up()
    described = yaml.safe_load((cluster.state / "kind.yaml").read_text())
    assert (described["kind"], described["apiVersion"]) == ("Cluster", "kind.x-k8s.io/v1alpha4")
    assert described["nodes"] == [{"role": "control-plane"}]
    [patch] = described["containerdConfigPatches"]
    assert 'config_path = "/etc/containerd/certs.d"' in patch


def test_a_second_start_changes_nothing(fake: Fake, cluster: KindCluster) -> None:
    cluster.up()
    before = fake.commands()
    cluster.up()
    again = fake.commands()[len(before) :]
    assert not [line for line in again if " create " in line or " run " in line or " connect " in line], again


def test_what_a_restart_of_the_machine_has_stopped_is_started_again(fake: Fake, cluster: KindCluster) -> None:
    cluster.up()
    for name in (NODE, REGISTRY):
        (fake.folder / name).write_text("false")
    assert len(cluster.status()) == 2
    cluster.up()
    assert cluster.status() == []
    assert len(fake.commands("kind create cluster")) == 1


def test_an_interrupted_creation_is_begun_again(fake: Fake, cluster: KindCluster) -> None:
    fake.has("killed")
    with pytest.raises(Problem, match=r"`kind create cluster.*` failed(.|\n)*failed to create cluster"):
        cluster.up()
    (fake.folder / "killed").unlink()
    cluster.up()
    assert len(fake.commands("kind delete cluster")) == 1
    assert len(fake.commands("kind create cluster")) == 2


def test_a_cluster_of_that_name_that_others_started_is_left_alone(fake: Fake, cluster: KindCluster) -> None:
    (fake.folder / NODE).write_text("true")
    for refused in (cluster.up, cluster.down):
        with pytest.raises(Problem, match="was not started from"):
            refused()
    assert not fake.commands("kind delete")


def test_a_stop_deletes_containers_builder_and_state(fake: Fake, cluster: KindCluster) -> None:
    cluster.up()
    cluster.down()
    assert fake.commands("kind delete cluster --name ephemeral-dask")
    assert fake.commands("docker rm --force --volumes", REGISTRY)
    assert fake.commands("buildx rm --force ephemeral-dask", str(cluster.state / "buildx"))
    assert {path.name for path in cluster.state.iterdir()} == {"lock"}
    assert cluster.status()
    cluster.down()


def test_a_platform_that_is_forced_on_docker_reaches_neither_node_nor_registry(
    fake: Fake, cluster: KindCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/amd64")
    cluster.up()
    assert not fake.commands("[linux/amd64]")
    assert not fake.commands("--platform")


def test_nothing_of_the_persons_own_configuration_is_used_for_the_cluster(cluster: KindCluster) -> None:
    assert cluster.environment == {
        "KUBECONFIG": str(cluster.state / "kubeconfig"),
        "BUILDX_CONFIG": str(cluster.state / "buildx"),
    }


def test_checks_of_a_machine_that_has_everything_find_and_change_nothing(fake: Fake, cluster: KindCluster) -> None:
    assert cluster.problems() == []
    assert not cluster.state.exists()
    assert not fake.commands(" run ")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        ("Cannot connect to the Docker daemon at unix:///var/run/docker.sock.", "Start Docker"),
        ("permission denied while trying to connect to the Docker daemon socket", "group `docker`"),
    ],
)
def test_an_engine_that_does_not_answer_is_a_sentence_with_its_reason(
    fake: Fake, cluster: KindCluster, error: str, sentence: str
) -> None:
    (fake.folder / "info.error").write_text(error)
    assert error.rstrip(".") in messages(cluster)
    assert sentence in messages(cluster)


def test_an_engine_that_reports_its_errors_with_status_zero_does_not_answer(fake: Fake, cluster: KindCluster) -> None:
    fake.informs(ServerErrors=["Is the docker daemon running?"], OSType="")
    assert "Docker does not answer (Is the docker daemon running?)" in messages(cluster)


def test_an_engine_that_hangs_is_a_sentence(fake: Fake, cluster: KindCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.has("hangs")
    monkeypatch.setattr(docker, "attempt", partial(docker.attempt, seconds=0.3))
    assert "Docker does not answer (no answer within 0 s)" in messages(cluster)


def test_a_machine_without_docker_is_a_sentence(
    fake: Fake, cluster: KindCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fake.folder / "docker").unlink()
    monkeypatch.setenv("PATH", str(fake.folder))
    assert "Docker, in which kind runs the nodes, is not installed" in messages(cluster)
    with pytest.raises(Problem, match="is not installed"):
        cluster.down()


def test_each_other_obstacle_is_named_at_once(
    fake: Fake, cluster: KindCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.informs(OSType="windows", MemTotal=2 << 30)
    fake.has("without-buildx")
    (fake.folder / "version").write_text("0.24.0")
    monkeypatch.setattr("tools.ports.free", lambda _: None)
    monkeypatch.setattr("tools.toolchain.preflight", lambda _: [Problem("no Go", remedy="install it")])
    text = messages(cluster)
    for part in ("windows containers", "2.0 GiB of memory", "no buildx", "Port 5001", "older than kind 0.31"):
        assert part in text
    with pytest.raises(Problem):
        cluster.up()
    assert not fake.commands(" run ")


def test_kind_is_built_where_it_is_missing_or_too_old_and_go_is_there(
    fake: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert programs.ensure() == str(fake.folder / "kind")
    (fake.folder / "version").write_text("0.24.0")
    monkeypatch.setattr("tools.toolchain.preflight", lambda _: [])
    monkeypatch.setattr("tools.toolchain.ensure", lambda names: dict.fromkeys(names, tmp_path))
    assert programs.problems() == []
    assert programs.ensure() == str(tmp_path / "kind")


def test_a_missing_kind_without_go_names_both_ways(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    (fake.folder / "kind").unlink()
    monkeypatch.setattr("tools.toolchain.preflight", lambda _: [Problem("no Go", remedy="install it")])
    assert "Install kind 0.31 or newer, or Go 1.26 to build it" in str(*programs.problems())


def test_an_image_that_cannot_be_pulled_ends_with_dockers_own_words(fake: Fake, cluster: KindCluster) -> None:
    fake.has("offline")
    with pytest.raises(Problem, match="no such host"):
        cluster.up()


def test_a_machine_without_kubectl_asks_the_one_in_the_node(
    fake: Fake, cluster: KindCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.up()
    monkeypatch.setenv("PATH", f"{fake.folder}:/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda _: None)
    folder = cluster.kubectl_folder()
    assert folder is not None
    assert os.system(f"{folder}/kubectl get pods") == 0
    assert fake.commands(f"exec -i {NODE} kubectl --kubeconfig=/etc/kubernetes/admin.conf get pods")
