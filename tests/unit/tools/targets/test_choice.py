"""The cluster of a command without CLUSTER=, on every kind of machine, with its reason."""

from __future__ import annotations

import argparse
from pathlib import Path

import psutil
import pytest

from tools.cluster import LocalCluster, cgroups, mounts, process
from tools.errors import Problem
from tools.targets import choice
from tools.verbs import machine as verbs


class Machine:
    """This machine, as another one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._monkeypatch = monkeypatch
        self._folder = folder
        monkeypatch.setenv("PATH", str(folder))

    def make(
        self, system: str, *, name: str | None = "Debian GNU/Linux", root: bool = True, release: str = "6.1.0-18-amd64"
    ) -> None:
        def os_release() -> dict[str, str]:
            if name is None:
                raise OSError("no os-release")
            return {"NAME": name, "ID": name.split()[0].lower()}

        self._monkeypatch.setattr("platform.system", lambda: system)
        self._monkeypatch.setattr("platform.machine", lambda: "arm64" if system == "Darwin" else "x86_64")
        self._monkeypatch.setattr("platform.release", lambda: release)
        self._monkeypatch.setattr("platform.freedesktop_os_release", os_release)
        self._monkeypatch.setattr("os.geteuid", lambda: 0 if root else 501)

    def install(self, program: str, answer: str = "exit 0") -> None:
        path = self._folder / program
        path.write_text(f"#!/bin/sh\n{answer}\n")
        path.chmod(0o755)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    folder = tmp_path / "bin"
    folder.mkdir()
    return Machine(monkeypatch, folder)


WSL = "5.15.167.4-microsoft-standard-WSL2"


def test_root_on_debian_gets_the_local_cluster_with_and_without_docker(machine: Machine) -> None:
    machine.make("Linux")
    assert choice.choose() == choice.Choice("local", "this is Debian GNU/Linux and you are root")
    machine.install("docker")
    assert choice.choose().cluster == "local"


@pytest.mark.parametrize(
    ("system", "name", "root", "release", "why"),
    [
        ("Darwin", None, False, "24.1.0", "macOS on Apple silicon without root with Docker"),
        ("Linux", "Ubuntu", False, "6.8.0", "Ubuntu without root with Docker"),
        ("Linux", "Ubuntu", True, "6.8.0", "Ubuntu with Docker"),
        ("Linux", "Debian GNU/Linux", False, "6.1.0", "Debian GNU/Linux without root with Docker"),
        ("Linux", "Debian GNU/Linux", True, WSL, "Debian GNU/Linux in WSL with Docker"),
        ("Linux", None, True, "6.1.0", "Linux with Docker"),
    ],
)
def test_a_machine_with_docker_gets_kind_and_the_line_says_that_it_has_not_run_yet(
    machine: Machine, *, system: str, name: str | None, root: bool, release: str, why: str
) -> None:
    machine.make(system, name=name, root=root, release=release)
    machine.install("docker")
    kind = choice.choose()
    assert (kind.cluster, kind.why) == ("kind", f"this is {why}")
    assert "has not run yet" in str(kind)


def test_a_cluster_of_the_kubeconfig_is_proposed_and_never_chosen(machine: Machine) -> None:
    machine.make("Darwin", root=False)
    machine.install("kubectl")
    with pytest.raises(Problem) as caught:
        choice.choose()
    assert "macOS on Apple silicon without root and without Docker" in str(caught.value)
    assert "CLUSTER=existing" in caught.value.remedy
    assert "make laptop" in caught.value.remedy
    assert choice.choose("existing").cluster == "existing"
    assert not choice.is_default("existing")


@pytest.mark.parametrize("with_docker", [True, False])
@pytest.mark.parametrize("requested", ["", "local", "kind"])
@pytest.mark.parametrize(
    ("system", "name", "release"),
    [("Darwin", None, "24.1.0"), ("Linux", "Ubuntu", "6.8.0"), ("Linux", None, WSL), ("FreeBSD", None, "14.1")],
)
def test_doctor_ends_in_sentences_on_every_machine(
    machine: Machine,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    *,
    system: str,
    name: str | None,
    release: str,
    requested: str,
    with_docker: bool,
) -> None:
    machine.make(system, name=name, root=False, release=release)
    monkeypatch.setenv("EPHEMERAL_DASK_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("EPHEMERAL_DASK_CACHE", str(tmp_path / "cache"))
    if with_docker:
        machine.install("docker", "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    if system != "Linux":
        without_proc(monkeypatch)
    assert verbs.examine(argparse.Namespace(stack="dev", cluster=requested)) == 1
    printed = capsys.readouterr().out
    assert "  no  " in printed
    assert "Traceback" not in printed


def test_the_local_cluster_of_a_mac_is_neither_stopped_nor_asked_about(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EPHEMERAL_DASK_STATE", str(tmp_path / "state"))
    machine.make("Darwin")
    without_proc(monkeypatch)
    cluster = LocalCluster()
    assert ["Linux only" in str(each) for each in cluster.preflight()] == [True]
    assert cluster.status() == []
    for refused in (cluster.info, cluster.down, cluster.up):
        with pytest.raises(Problem):
            refused()


def without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everything that reads /proc fail as on a machine without it."""

    def missing(*_: object, **__: object) -> None:
        raise FileNotFoundError("/proc")

    for module, name in (
        (mounts, "current"),
        (cgroups, "processes"),
        (process, "boot_id"),
        (process, "marked"),
        (psutil, "net_connections"),
        (psutil, "process_iter"),
    ):
        monkeypatch.setattr(module, name, missing)
