"""The local cluster for real: processes, pods, volumes, and what is left on the machine afterwards.

These tests take clusters down and kill them, so they have one of their own, in a state folder of their own. Two
clusters cannot share a machine: while another one runs, these tests fail and say which. Any test can run alone.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.e2e.machine import Machine
from tests.e2e.stage import NAMESPACE, MachineState, Stage, pod, private_place, up
from tools import paths
from tools.cluster import (
    Access,
    Layout,
    LocalCluster,
    Network,
    firewall,
    images,
    network,
    packages,
    process,
    programs,
    supervise,
)
from tools.cluster.api import Api
from tools.cluster.layout import REGISTRY_PORT
from tools.cluster.wait import until
from tools.errors import Problem

GIB = 1 << 30


@pytest.fixture(scope="module")
def place() -> Layout:
    return private_place()


@pytest.fixture
def no_cluster(machine: Machine) -> None:
    """Take down the cluster of other tests."""
    machine.clear()


@pytest.fixture(scope="module")
def binaries(place: Layout) -> Mapping[str, Path]:
    """Provide the programs, with what else a machine's first start installs and builds: some tests time a start."""
    packages.install(packages.missing(Network.PTP))
    for image in images.catalogue().values():
        images.ensure(image, place.images)
    return programs.built()


@pytest.fixture
def stage(machine: Machine, place: Layout, binaries: Mapping[str, Path]) -> Stage:
    """Provide a cluster that runs, shared by the tests."""
    stage: Stage = machine.provide(
        "to destroy", lambda: up(LocalCluster(place, binaries=binaries, network=Network.PTP))
    )
    if stage.silent():
        stage.restart_with(stage.cluster.up())
    return stage


@pytest.fixture
def keeper(stage: Stage) -> Stage:
    """Provide a cluster with a pod that counts its starts on a volume."""
    stage.kubectl("apply", "-f", "-", stdin=CLAIM)
    stage.kubectl("apply", "-f", "-", stdin=pod("keeper", KEEPER, claim="data"))
    stage.wait_for("keeper", phase="Running")
    return stage


@pytest.mark.usefixtures("no_cluster")
def test_preflight_names_the_program_that_holds_a_port_and_changes_nothing(
    place: Layout, binaries: Mapping[str, Path]
) -> None:
    if process.marked():
        pytest.fail(f"a local cluster runs already, from {set(process.marked().values())}: take it down first")
    before = MachineState.now()
    with socket.create_server((REGISTRY_PORT.address, REGISTRY_PORT.number)):
        problems = LocalCluster(place, binaries=binaries, network=Network.PTP).preflight()
        with pytest.raises(Problem, match=r"Port 5001 .* registry"):
            LocalCluster(place, binaries=binaries, network=Network.PTP).up()
    assert [problem.what for problem in problems if str(os.getpid()) in problem.what and "5001" in problem.what]
    assert MachineState.now() == before


@pytest.mark.usefixtures("no_cluster")
def test_a_component_that_ends_during_the_start_is_named_with_its_last_output_and_nothing_stays(
    place: Layout, binaries: Mapping[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "kube-apiserver"
    broken.write_text("#!/bin/sh\necho the dog ate my certificates\nexit 3\n")
    broken.chmod(0o755)
    before = MachineState.now()
    started = time.monotonic()
    with pytest.raises(Problem, match="kube-apiserver ended while the cluster was starting") as raised:
        LocalCluster(place, binaries={**binaries, "kube-apiserver": broken}, network=Network.PTP).up()
    assert "the dog ate my certificates" in str(raised.value)
    assert time.monotonic() - started < supervise.DEADLINE
    assert MachineState.now() == before
    assert not process.marked(str(place.root))


def test_a_second_up_is_quick_and_changes_nothing(stage: Stage) -> None:
    place = stage.cluster.place

    def files() -> dict[str, int]:
        written = [*place.config.rglob("*"), *place.pki.rglob("*"), *place.run.rglob("*"), place.kubeconfig]
        return {str(path): path.stat().st_mtime_ns for path in written}

    before, pids = files(), stage.pids()
    started = time.monotonic()
    assert stage.cluster.up() == stage.access
    assert time.monotonic() - started < 10
    assert (files(), stage.pids()) == (before, pids)


def test_two_simultaneous_ups_bring_up_one_cluster(stage: Stage) -> None:
    pids = stage.pids()
    answers: list[Access] = []
    threads = [threading.Thread(target=lambda: answers.append(stage.cluster.up())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [stage.access] * 3
    assert stage.pids() == pids


def test_every_key_is_readable_by_its_owner_only(stage: Stage) -> None:
    keys = list(stage.cluster.place.pki.glob("*.key"))
    assert keys
    assert {oct(key.stat().st_mode & 0o777) for key in keys} == {"0o600"}


def test_the_control_plane_stays_below_its_memory_bound(stage: Stage) -> None:
    assert 0.2 * GIB < stage.cluster.control_plane_memory() < 1.2 * GIB


def test_a_pod_of_the_restricted_profile_runs_and_finds_services_by_name(stage: Stage) -> None:
    stage.kubectl("apply", "-f", "-", stdin=pod("web", "httpd -f -p 8080 -h /etc"))
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
    stage.kubectl("apply", "-f", "-", stdin=service)
    stage.wait_for("web", phase="Running")
    script = (
        f"until wget -q -O - http://web.{NAMESPACE}.svc.cluster.local/group; do usleep 100000; done; "
        "nslookup kubernetes.default.svc.cluster.local; id -u; touch /no 2>&1 || echo read-only"
    )
    stage.kubectl("apply", "-f", "-", stdin=pod("client", script))
    stage.wait_for("client", phase="Succeeded")
    said = stage.kubectl("logs", "-n", NAMESPACE, "client")
    for expected in ("nogroup", "10.96.0.1", "1000\n", "read-only"):
        assert expected in said


def test_an_image_built_on_the_base_image_is_pushed_and_runs_by_digest(
    stage: Stage, binaries: Mapping[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text(
        f'FROM {stage.access.base_image}\nRUN ["python3", "-c", "open(\'/made\', \'w\')"]\n'
    )
    metadata = tmp_path / "metadata.json"
    subprocess.run(
        [
            *(str(binaries["buildkitd"].with_name("buildctl")), "--addr", stage.access.buildkit, "build"),
            *("--frontend", "dockerfile.v0", "--local", f"context={tmp_path}", "--local", f"dockerfile={tmp_path}"),
            *("--output", f"type=image,name={stage.access.registry}/made:1,push=true"),
            *("--metadata-file", str(metadata)),
        ],
        check=True,
        capture_output=True,
    )
    digest = json.loads(metadata.read_text())["containerimage.digest"]
    made = pod("made", "ls /made && python3 --version", image=f"{stage.access.registry}/made@{digest}")
    stage.kubectl("apply", "-f", "-", stdin=made)
    stage.wait_for("made", phase="Succeeded")
    assert "/made\nPython 3" in stage.kubectl("logs", "-n", NAMESPACE, "made")


def test_the_builder_is_defined_where_docker_looks_for_it(stage: Stage) -> None:
    defined = json.loads((stage.access.docker_config / "buildx" / "instances" / stage.access.buildx).read_text())
    assert defined["Driver"] == "remote"
    assert [node["Endpoint"] for node in defined["Nodes"]] == [stage.access.buildkit]


def test_the_audit_log_says_who_did_what(stage: Stage) -> None:
    events = [json.loads(line) for line in stage.access.audit_log.read_text().splitlines()]
    mine = [event for event in events if event.get("objectRef", {}).get("namespace") == NAMESPACE]
    assert {event["level"] for event in mine} == {"Metadata"}
    assert ("create", "kubernetes-admin") in {(event["verb"], event["user"]["username"]) for event in mine}


CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "namespace": NAMESPACE},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def test_a_volume_survives_the_restart_of_its_pod(keeper: Stage) -> None:
    starts = _grows(keeper)
    for count in (1, 2):
        keeper.kubectl("delete", "-n", NAMESPACE, "pod/keeper")
        keeper.kubectl("apply", "-f", "-", stdin=pod("keeper", KEEPER, claim="data"))
        keeper.wait_for("keeper", phase="Running")
        assert _grows(keeper, above=starts + count - 1) == starts + count


# Number 1 of a container gets no signal that it has no handler for.
KEEPER = "echo start >> /data/log; trap 'exit 0' TERM; sleep infinity & wait"


def _grows(stage: Stage, above: int = 0) -> int:
    """Return how often the keeper has started, by its volume, once it is more than `above`."""
    count = 0

    def counted() -> bool:
        nonlocal count
        command = ["exec", "-n", NAMESPACE, "keeper", "--", "cat", "/data/log"]
        try:
            count = stage.kubectl(*command).count("start")
        except AssertionError:
            return False
        return count > above

    assert until(counted, seconds=120, interval=0.3)
    return count


def test_a_dead_component_is_named_and_the_next_up_restarts_it(stage: Stage) -> None:
    scheduler = supervise.running(stage.cluster.place)["kube-scheduler"]
    scheduler.signal(signal.SIGKILL)
    assert scheduler.wait(10)
    assert stage.silent() == ["kube-scheduler"]
    with pytest.raises(Problem, match="kube-scheduler is not running"):
        stage.cluster.info()
    stage.restart_with(stage.cluster.up())
    assert not stage.silent()


def test_the_remains_of_a_killed_cluster_do_not_stop_the_next_one(keeper: Stage) -> None:
    stage, starts = keeper, _grows(keeper)
    place = stage.cluster.place
    for component in supervise.running(place).values():
        component.signal(signal.SIGKILL)
    assert until(lambda: not supervise.running(place), seconds=30)
    # The pods, their mounts and their interfaces outlive the components, and a pid file may name another process.
    assert [mount for mount in MachineState.now().mounts if mount.startswith(str(place.root))]
    stranger = process.Identity.of(os.getpid())
    assert stranger
    started = json.loads(place.pid_file("etcd").read_text())
    place.pid_file("etcd").write_text(json.dumps(started | {"pid": stranger.pid}))
    (place.run / "coredns.pid").write_text("not a pid file")
    stage.restart_with(stage.cluster.up())
    assert not stage.silent()
    assert _grows(stage, above=starts) > starts


def test_an_up_that_is_killed_in_the_middle_does_not_stop_the_next_one(stage: Stage) -> None:
    place = stage.cluster.place
    stage.cluster.down()
    folders = os.pathsep.join({str(path.parent) for path in programs.built().values()})
    environment = os.environ | {programs.FOLDERS: folders, "EPHEMERAL_DASK_STATE": str(place.root.parent)}
    environment |= {network.VARIABLE: Network.PTP}
    half = subprocess.Popen([sys.executable, "-m", "tools.cluster", "up"], cwd=paths.ROOT, env=environment)
    try:
        assert until(lambda: "etcd" in supervise.running(place), seconds=120)
    finally:
        half.kill()
        half.wait()
    assert process.marked(str(place.root))
    # Killed between the start of a process and the writing of its pid file.
    place.pid_file("etcd").unlink()
    stage.restart_with(stage.cluster.up())
    assert not stage.silent()


def test_a_second_cluster_on_the_machine_is_refused_and_the_message_says_where_the_first_one_is(
    stage: Stage, tmp_path: Path
) -> None:
    other = LocalCluster(Layout(root=tmp_path / "cluster"), binaries={}, network=Network.PTP)
    with pytest.raises(Problem, match=f"Another local cluster of this project runs from {stage.cluster.place.root}"):
        other.up()
    # Nor does taking down the other one, which never was, touch this one.
    other.down(purge=True)
    assert not stage.silent()
    assert firewall.removal(firewall.save("iptables"), tag=stage.cluster.place.tag, proxy=True, portmap=False).count(
        "KUBE-"
    )


def test_down_reverts_all_that_the_cluster_did_to_the_machine_and_keeps_its_data(keeper: Stage) -> None:
    stage, starts = keeper, _grows(keeper)
    running = MachineState.now()
    assert running.links > stage.before.links
    assert running.rules != stage.before.rules
    stage.cluster.down()
    assert MachineState.now() == stage.before
    assert not process.marked(str(stage.cluster.place.root))
    stage.cluster.down()
    assert MachineState.now() == stage.before
    began = time.monotonic()
    stage.restart_with(stage.cluster.up())
    assert time.monotonic() - began < supervise.DEADLINE
    assert Api(stage.cluster.place.pki).get(f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/data")
    assert _grows(stage, above=starts) > starts


@pytest.mark.takes_down
def test_purge_leaves_neither_processes_nor_data(stage: Stage, machine: Machine) -> None:
    stage.cluster.down(purge=True)
    assert MachineState.now() == stage.before
    assert not stage.cluster.place.root.exists()
    machine.clear()
