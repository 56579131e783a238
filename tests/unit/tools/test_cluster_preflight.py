"""Everything that prevents a cluster from starting is reported before anything is changed."""

import json
from pathlib import Path

import pytest

from tools.cluster import Layout, Network, cilium, cni, host_state, machine, packages, preflight, process, programs
from tools.cluster.layout import PORTS
from tools.cluster.machine import Listener
from tools.errors import Problem


def test_a_port_of_another_program_is_a_problem_with_component_and_holder_and_an_own_port_is_not() -> None:
    sockets = [Listener("127.0.0.1", 5001, udp=False, pid=7), Listener("127.0.0.1", 12379, udp=False, pid=8)]
    problems = preflight.ports_taken(PORTS, sockets, lambda one: ("process 7 (squid)", one.pid == 8))
    assert [problem.what for problem in problems] == [
        "Port 5001 is needed by the local cluster's registry and is taken by process 7 (squid)"
    ]
    assert problems[0].remedy


def test_no_two_components_use_the_same_port() -> None:
    ports = [(port.number, port.udp) for port in PORTS]
    assert len(ports) == len(set(ports))


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    return Layout(root=tmp_path / "cluster", images=tmp_path / "images")


def messages(place: Layout, ours: tuple[int, ...] = ()) -> str:
    return "\n".join(str(problem) for problem in preflight.problems(place, ours))


def test_the_message_about_a_full_disk_says_how_much_is_needed(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_disk", lambda _: 3 * preflight.GIB)
    assert f"{place.root} has 3.0 GiB of free disk, and the local cluster needs 8 GiB" in messages(place)
    monkeypatch.setattr(machine, "free_disk", lambda _: preflight.GIB)
    assert f"{place.images} has 1.0 GiB" in messages(place)


def test_the_message_about_memory_says_how_much_is_needed_and_a_running_cluster_does_not_get_it(
    place: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: 2 * preflight.GIB)
    message = "This machine has 2.0 GiB of memory left, and the local cluster needs 4 GiB"
    assert message in messages(place)
    assert message not in messages(place, ours=(1,))


def test_a_user_other_than_root_is_refused(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "needs root" in messages(place)


def test_an_operating_system_other_than_linux_is_the_only_problem(
    place: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert len(preflight.problems(place, ())) == 1
    assert "Linux only" in messages(place)


def test_missing_packages_are_named_on_a_machine_without_apt(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "missing", lambda _: ["containerd", "runc"])
    monkeypatch.setattr(preflight, "which", lambda _: None)
    assert "The packages containerd, runc are missing, and this machine has no apt-get" in messages(place)


def test_an_overlay_file_system_and_a_long_path_are_refused(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "file_system", lambda _: "overlay")
    assert "overlay file system" in messages(place)
    assert "is too long: the kernel limits" in messages(Layout(root=place.root / ("x" * 80), images=place.images))


def test_the_preconditions_of_cilium_are_checked_only_when_it_is_requested(
    place: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.release", lambda: "4.19.0-amd64")
    monkeypatch.setattr(machine, "links", lambda: ["lo", "cilium_net", "cilium_host"])
    problems = "\n".join(str(problem) for problem in preflight.problems(place, (), Network.CILIUM))
    assert "runs Linux 4.19.0-amd64, and Cilium needs 5.10 or newer" in problems
    assert "The interface cilium_host of another Cilium is on this machine" in problems
    assert "Cilium" not in messages(place)


def test_interfaces_of_the_clusters_own_killed_cilium_are_not_a_problem(
    place: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "links", lambda: ["lo"])
    host_state.save(place.host_state, Network.CILIUM)
    monkeypatch.setattr(machine, "links", lambda: ["lo", "cilium_net", "cilium_host"])
    problems = "\n".join(str(problem) for problem in preflight.problems(place, (), Network.CILIUM))
    assert "another Cilium" not in problems


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            "ephemeral-dask-0a1b2c3d",
            "A local cluster of this project in another state folder was killed and left veth7",
        ),
        ("podman", "overlaps 10.244.0.1/32, which this machine reaches through veth7"),
    ],
)
def test_an_interface_that_a_killed_cluster_left_is_named_as_such(
    network: str, message: str, place: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    interfaces = {"interfaces": [{"name": "veth7"}, {"name": "eth0", "sandbox": "/run/netns/x"}]}
    attachment = cni.Attachment(Path("x"), network, "container", "eth0", "", {}, interfaces)
    link = {"ifname": "veth7", "addr_info": [{"family": "inet", "local": "10.244.0.1", "prefixlen": 32}]}
    monkeypatch.setattr(cni, "attachments", lambda: [attachment])
    monkeypatch.setattr(machine, "ip_json", lambda *words: json.dumps([link] if words == ("address",) else []))
    monkeypatch.setattr(preflight, "which", lambda _: "/sbin/ip")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(process, "marked", dict)
    monkeypatch.setattr(machine, "node_programs", lambda **_: [])
    assert message in messages(place)


def test_the_compiler_that_cilium_needs_is_installed_only_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cilium, "LLVM", Path("/missing"))
    assert "clang-19" in packages.missing(Network.CILIUM)
    assert "clang-19" not in packages.missing()


def test_preflight_changes_nothing(place: Layout) -> None:
    preflight.problems(place, ())
    assert not place.root.exists()
    assert not place.images.exists()


def test_programs_come_from_the_first_folder_that_has_them_and_missing_ones_are_named(tmp_path: Path) -> None:
    for folder, names in (("one", programs.BUILT[:-1]), ("two", programs.BUILT)):
        for name in names:
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).touch(mode=0o755)
    paths = programs.find([tmp_path / "one", tmp_path / "two"])
    assert {path.parent.name for path in paths.values()} == {"one", "two"}
    assert paths["etcd"] == tmp_path / "one" / "etcd"
    with pytest.raises(Problem, match="local-path-provisioner"):
        programs.find([tmp_path / "one"])
