"""The state of the machine before a cluster, recorded and restored."""

import json
from pathlib import Path

import pytest

from tools.cluster import Network, cilium, files, host_state, machine


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "imprint.json"


def test_only_interfaces_that_cilium_created_since_the_start_are_removed() -> None:
    now = ["lo", "eth0", "lxcbr0", "lxc0a1b2c3d4e5f", "lxcdead00000000", "cilium_host", "cilium_net", "cilium_vxlan"]
    created = cilium.created_links(["lo", "eth0", "lxcdead00000000"], now)
    assert created == ["lxc0a1b2c3d4e5f", "cilium_host", "cilium_net"]


def test_interfaces_count_as_ciliums_only_when_the_cluster_used_cilium(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "links", lambda: ["lo"])
    host_state.save(record, Network.CILIUM)
    monkeypatch.setattr(machine, "links", lambda: ["lo", "cilium_host", "lxc0a1b2c3d4e5f"])
    assert host_state.cilium_links(record) == ["cilium_host", "lxc0a1b2c3d4e5f"]
    record.unlink()
    assert host_state.cilium_links(record) == []
    host_state.save(record, Network.PTP)
    assert host_state.cilium_links(record) == []


@pytest.mark.parametrize("existed", [True, False])
def test_ciliums_folder_is_removed_only_where_the_cluster_created_it(
    existed: bool, record: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run" / "cilium"
    monkeypatch.setattr(cilium, "RUNTIME", folder)
    monkeypatch.setattr(host_state, "_settings", lambda _: {})
    monkeypatch.setattr(host_state, "run", lambda *_: None)
    if existed:
        folder.mkdir(parents=True)
    host_state.save(record, Network.CILIUM)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "cilium.pid").touch()
    host_state.restore(record)
    assert folder.exists() is existed
    files.remove_tree(folder)


def test_the_record_of_a_killed_cluster_is_not_overwritten(record: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_state, "_settings", lambda _: {"net/ipv4/ip_forward": "0"})
    host_state.save(record)
    monkeypatch.setattr(host_state, "_settings", lambda _: {"net/ipv4/ip_forward": "1"})
    host_state.save(record)
    assert json.loads(record.read_text())["settings"] == {"net/ipv4/ip_forward": "0"}


def test_a_record_from_before_a_restart_of_the_machine_is_replaced(
    record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record.write_text(json.dumps({"boot": "another", "settings": {"net/ipv4/ip_forward": "0"}, "absent": []}))
    monkeypatch.setattr(host_state, "_settings", lambda _: {"net/ipv4/ip_forward": "1"})
    host_state.save(record)
    assert json.loads(record.read_text())["settings"] == {"net/ipv4/ip_forward": "1"}
