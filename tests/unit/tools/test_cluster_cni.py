"""The undoing of CNI attachments, from libcni's records."""

import base64
import json
from pathlib import Path

import pytest

from tools.cluster import cni

TAG = "ephemeral-dask-90bd36fd"


def entry(network: str, container: str, interface: str = "eth0") -> str:
    plugins = [
        {"type": "ptp", "ipam": {"type": "host-local"}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    config = {"cniVersion": "0.4.0", "name": network, "plugins": plugins}
    return json.dumps(
        {
            "kind": "cniCacheV1",
            "containerId": container,
            "config": base64.b64encode(json.dumps(config).encode()).decode(),
            "ifName": interface,
            "networkName": network,
            "cniArgs": [["IgnoreUnknown", "1"], ["K8S_POD_NAME", "web"]],
            "result": {"cniVersion": "0.4.0", "interfaces": [{"name": "veth1"}]},
        }
    )


def attachment(network: str, container: str) -> cni.Attachment:
    parsed = cni.parse(Path(f"{network}-{container}"), entry(network, container))
    assert parsed
    return parsed


def test_plugins_are_undone_in_reverse_order_with_their_own_result() -> None:
    calls = cni.delete_calls(attachment(TAG, "1"))
    assert [plugin for plugin, _ in calls] == ["portmap", "ptp"]
    for _, text in calls:
        config = json.loads(text)
        assert (config["name"], config["cniVersion"]) == (TAG, "0.4.0")
        assert config["prevResult"]["interfaces"] == [{"name": "veth1"}]


def test_only_pods_of_the_clusters_network_are_detached_with_their_loopback_interfaces() -> None:
    everything = [
        attachment(TAG, "1"),
        attachment(cni.LOOPBACK, "1"),
        attachment(cni.LOOPBACK, "2"),
        attachment("podman", "3"),
    ]
    assert cni.of_network(everything, TAG) == everything[:2]
    assert cni.has_others(everything, TAG)
    assert not cni.has_others(everything[:3], TAG)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"networkName": "x"}'])
def test_a_file_that_is_not_an_attachment_is_ignored(text: str) -> None:
    assert cni.parse(Path("x"), text) is None
