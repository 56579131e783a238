"""What stands in the way of a cluster is said in sentences, before anything is changed."""

import json
from pathlib import Path

import pytest

from tools.cluster import Layout, Network, cilium, imprint, machine, packages, preflight, programs
from tools.cluster.layout import NODE_IP, POD_CIDR, PORTS, SERVICE_CIDR, Port
from tools.cluster.machine import Listener
from tools.errors import Problem

# /proc/net/tcp and tcp6 of a machine with a registry on 127.0.0.1:5001, an API server on [::]:6443, and a connection.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1389 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4001 1 0000 100 0 0 10 0
   1: 0100007F:1389 0100007F:C822 01 00000000:00000000 00:00000000 00000000     0        0 4002 1 0000 20 4 30 10 -1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm inode
   0: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 4003 1 0 1 0 0 1 0
   1: 0000000000000000FFFF00000100007F:30D5 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 4004 1 0 1 0 0 1 0
"""


def test_listening_sockets_are_read_as_the_kernel_writes_them() -> None:
    assert machine.parse_listeners(TCP, udp=False) == [Listener("127.0.0.1", 5001, udp=False, inode=4001)]
    found = machine.parse_listeners(TCP6, udp=False)
    assert [(one.address, one.port) for one in found] == [("::", 6443), ("127.0.0.1", 12501)]


@pytest.mark.parametrize(
    ("listening", "wanted", "blocked"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("::", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.53", NODE_IP, False),
        ("192.0.2.2", NODE_IP, False),
    ],
)
def test_a_port_is_taken_only_where_it_is_wanted(listening: str, wanted: str, blocked: bool) -> None:
    socket = Listener(listening, 53, udp=False, inode=1)
    assert socket.blocks(Port(53, "coredns", wanted)) is blocked
    assert not socket.blocks(Port(53, "coredns", wanted, udp=True))
    assert not socket.blocks(Port(54, "coredns", wanted))


def test_a_taken_port_is_one_sentence_with_owner_and_holder_and_our_own_is_none() -> None:
    sockets = [Listener("127.0.0.1", 5001, udp=False, inode=1), Listener("127.0.0.1", 12379, udp=False, inode=2)]
    found = preflight.ports_taken(PORTS, sockets, lambda one: ("process 7 (squid)", one.inode == 2))
    assert [problem.what for problem in found] == [
        "Port 5001 is needed by the local cluster's registry and is taken by process 7 (squid)"
    ]
    assert found[0].remedy


def test_no_two_components_want_the_same_port() -> None:
    wanted = [(port.number, port.udp) for port in PORTS]
    assert len(wanted) == len(set(wanted))


def networks(addresses: list[str], routes: list[str]) -> list[tuple[str, str, str]]:
    shown = [
        {
            "ifname": f"if{number}",
            "addr_info": [{"family": "inet", "local": text.split("/")[0], "prefixlen": int(text.split("/")[1])}],
        }
        for number, text in enumerate(addresses)
    ]
    listed = [{"dst": text, "dev": "tun0"} for text in routes]
    return machine.overlapping((POD_CIDR, SERVICE_CIDR, f"{NODE_IP}/32"), json.dumps(shown), json.dumps(listed))


def test_a_network_of_the_machine_that_overlaps_ours_is_found() -> None:
    assert networks(["192.0.2.2/24"], ["default", "192.0.2.0/24"]) == []
    assert networks(["10.244.0.9/16"], []) == [
        (POD_CIDR, "10.244.0.9/16", "if0"),
        (f"{NODE_IP}/32", "10.244.0.9/16", "if0"),
    ]
    assert networks([], ["10.0.0.0/8"])[0] == (POD_CIDR, "10.0.0.0/8", "tun0")
    assert networks([], ["10.96.0.10"]) == [(SERVICE_CIDR, "10.96.0.10", "tun0")]


def test_the_default_route_of_a_vpn_is_no_overlap() -> None:
    assert networks([], ["0.0.0.0/1", "128.0.0.0/1"]) == []


@pytest.fixture
def place(tmp_path: Path) -> Layout:
    return Layout(root=tmp_path / "cluster", images=tmp_path / "images")


def sentences(place: Layout, ours: tuple[int, ...] = ()) -> str:
    return "\n".join(str(problem) for problem in preflight.problems(place, ours))


def test_too_little_disk_says_how_much_is_needed(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "free_disk", lambda _: 3 * preflight.GIB)
    assert f"{place.root} has 3.0 GiB of free disk, and the local cluster needs 8 GiB" in sentences(place)
    monkeypatch.setattr(machine, "free_disk", lambda _: preflight.GIB)
    assert f"{place.images} has 1.0 GiB" in sentences(place)


def test_too_little_memory_says_how_much_is_needed_and_a_running_cluster_is_not_told(
    place: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "available_memory", lambda: 2 * preflight.GIB)
    told = "This machine has 2.0 GiB of memory left, and the local cluster needs 4 GiB"
    assert told in sentences(place)
    assert told not in sentences(place, ours=(1,))


def test_a_user_who_is_not_root_is_told_so(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "needs root" in sentences(place)


def test_another_system_is_one_sentence(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert len(preflight.problems(place, ())) == 1
    assert "Linux only" in sentences(place)


def test_packages_without_apt_are_named(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "missing", lambda _: ["containerd", "runc"])
    monkeypatch.setattr(preflight, "which", lambda _: None)
    assert "The packages containerd, runc are missing, and this machine has no apt-get" in sentences(place)


def test_an_overlay_file_system_and_a_long_path_are_refused(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "file_system", lambda _: "overlay")
    assert "overlay file system" in sentences(place)
    assert "too long for the sockets" in sentences(Layout(root=place.root / ("x" * 80), images=place.images))


def test_what_cilium_cannot_do_without_is_told_only_where_it_is_asked_for(
    place: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.release", lambda: "4.19.0-amd64")
    monkeypatch.setattr(machine, "links", lambda: ["lo", "cilium_net", "cilium_host"])
    found = "\n".join(str(problem) for problem in preflight.problems(place, (), Network.CILIUM))
    assert "runs Linux 4.19.0-amd64, and Cilium needs 5.10 or newer" in found
    assert "The interface cilium_host of another Cilium is on this machine" in found
    assert "Cilium" not in sentences(place)


def test_interfaces_of_our_own_dead_cilium_are_no_obstacle(place: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "links", lambda: ["lo"])
    imprint.note(place.imprint, Network.CILIUM)
    monkeypatch.setattr(machine, "links", lambda: ["lo", "cilium_net", "cilium_host"])
    found = "\n".join(str(problem) for problem in preflight.problems(place, (), Network.CILIUM))
    assert "another Cilium" not in found


def test_the_compiler_that_cilium_needs_is_installed_only_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cilium, "LLVM", Path("/nowhere"))
    assert "clang-19" in packages.missing(Network.CILIUM)
    assert "clang-19" not in packages.missing()


def test_preflight_changes_nothing(place: Layout) -> None:
    preflight.problems(place, ())
    assert not place.root.exists()
    assert not place.images.exists()


def test_services_of_packages_stay_off_only_while_packages_are_installed(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    with packages.services_stay_off(policy):
        assert "exit 101" in policy.read_text()
        assert policy.stat().st_mode & 0o111
    assert not policy.exists()


def test_a_policy_of_the_machine_is_kept(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("theirs")
    with packages.services_stay_off(policy):
        assert policy.read_text() == "theirs"
    assert policy.read_text() == "theirs"


def test_programs_come_from_the_first_folder_that_has_them_and_missing_ones_are_named(tmp_path: Path) -> None:
    for folder, names in (("one", programs.BUILT[:-1]), ("two", programs.BUILT)):
        for name in names:
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / name).touch(mode=0o755)
    found = programs.find([tmp_path / "one", tmp_path / "two"])
    assert {path.parent.name for path in found.values()} == {"one", "two"}
    assert found["etcd"] == tmp_path / "one" / "etcd"
    with pytest.raises(Problem, match="local-path-provisioner"):
        programs.find([tmp_path / "one"])
