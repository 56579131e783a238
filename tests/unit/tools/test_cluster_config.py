"""Configuration files and arguments of the local cluster's components."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tools.cluster import (
    Layout,
    Network,
    cilium,
    components,
    config,
    packages,
    programs,
    storage,
)
from tools.cluster.component import Component
from tools.cluster.layout import NODE_IP, PORTS, REGISTRY
from tools.cluster.node import reports_ready
from tools.toolchain.pins import GOMOD

PLACE = Layout(root=Path("/state/cluster"), images=Path("/cache/images"))
SYSTEM = ("/usr/lib/cni", "/etc/resolv.conf")
"""Paths of the machine that the cluster uses."""

each_network = pytest.mark.parametrize("network", Network)


def all_files(network: Network = Network.PTP) -> dict[Path, str]:
    return config.all_files(
        PLACE, sandbox_image="pause@sha256:1", helper_image="busybox@sha256:2", resolver=True, network=network
    )


def all_components(network: Network = Network.PTP) -> list[Component]:
    return components.components(PLACE, helper_image="busybox", network=network)


@each_network
def test_every_path_in_files_and_arguments_is_below_the_clusters_folder(network: Network) -> None:
    texts = {str(path): text for path, text in all_files(network).items()}
    texts |= {one.name: " ".join(one.argv) for one in all_components(network)}
    assert all(Path(path).is_relative_to(PLACE.root) for path in all_files(network))
    for name, text in texts.items():
        for path in re.findall(
            r"""(?<=["'= /])/[a-z][\w./-]+""", text.replace("unix://", " ").replace("https://", " ")
        ):
            if path.startswith(("/bin/", "/ephemeral-dask-")) or name == "audit-policy":
                continue
            urls = ("/healthz", "/livez", "/readyz", "/version", "/openapi", "/local-path")
            assert path.startswith(str(PLACE.root)) or path in SYSTEM or path in urls, (name, path)


@each_network
def test_every_yaml_file_is_a_yaml_mapping(network: Network) -> None:
    for path, text in all_files(network).items():
        if path.suffix in {".yaml", ".json", ".conflist", ".kubeconfig"} or path.name in {"kubeconfig", "local"}:
            assert isinstance(yaml.safe_load(text), dict), path


def test_two_clusters_have_different_names_for_what_the_machine_shares() -> None:
    other = Layout(root=Path("/elsewhere/cluster"))
    assert PLACE.tag != other.tag
    assert (PLACE.id, Layout(root=PLACE.root).id) == (PLACE.id, PLACE.id)


def test_the_owner_of_each_port_is_configured_with_it() -> None:
    texts = {one.name: " ".join(one.argv) for one in all_components(Network.CILIUM)}
    for path, text in all_files(Network.CILIUM).items():
        for name in texts:
            if name in path.stem or (name == "coredns" and path.name == "Corefile"):
                texts[name] += text
    for port in (*PORTS, *cilium.PORTS):
        assert str(port.number) in texts[port.owner], port


def test_only_the_api_server_listens_beyond_this_machine() -> None:
    assert [port.owner for port in (*PORTS, *cilium.PORTS) if port.address not in ("127.0.0.1", NODE_IP)] == [
        "kube-apiserver"
    ]


def test_other_names_are_forwarded_only_where_the_machine_has_a_resolver() -> None:
    assert "forward" in config.corefile(PLACE, resolver=True)
    assert "forward" not in config.corefile(PLACE, resolver=False)


def test_coredns_is_built_with_the_plugins_of_its_configuration_and_no_others() -> None:
    built = re.findall(r"coredns/plugin/(\w+)", (GOMOD / "kubernetes" / "coredns" / "main.go").read_text())
    directives = re.findall(r"^ {2}(\w+)", config.corefile(PLACE, resolver=True), re.MULTILINE)
    assert sorted(built) == sorted(directives)


@each_network
def test_components_depend_only_on_earlier_ones(network: Network) -> None:
    known: set[str] = set()
    for one in all_components(network):
        assert set(one.after) <= known, one.name
        known.add(one.name)


def test_the_default_storage_class_names_the_running_provisioner() -> None:
    manifests = {manifest["kind"]: manifest for _, manifest in storage.manifests()}
    annotations = manifests["StorageClass"]["metadata"]["annotations"]
    assert annotations == {"storageclass.kubernetes.io/is-default-class": "true"}
    [arguments] = [one.argv for one in all_components() if one.name == "local-path-provisioner"]
    assert f"--provisioner-name={manifests['StorageClass']['provisioner']}" in arguments
    assert f"--configmap-name={manifests['ConfigMap']['metadata']['name']}" in arguments


def condition(status: str, heartbeat: str) -> dict[str, object]:
    return {"status": {"conditions": [{"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat}]}}


def test_only_a_heartbeat_since_the_start_makes_a_reports_ready() -> None:
    since = "2026-01-01T00:00:00Z"
    assert reports_ready(condition("True", "2026-01-01T00:00:05Z"), since=since)
    assert not reports_ready(condition("True", "2025-12-31T23:59:59Z"), since=since)
    assert not reports_ready(condition("False", "2026-01-01T00:00:05Z"), since=since)
    assert not reports_ready({}, since=since)
    assert not reports_ready(None, since=since)


@each_network
def test_every_configured_kubeconfig_exists_and_has_a_certificate(network: Network) -> None:
    certificates = {one.name for one in components.certificates("machine", network)}
    files = all_files(network)
    for one in all_components(network):
        for path in re.findall(r"(?<==)\S+\.kubeconfig", " ".join(one.argv)):
            assert Path(path) in files, one.name
            assert Path(path).stem in certificates, one.name


@each_network
def test_every_program_of_a_component_is_built_or_installed_with_a_package(network: Network) -> None:
    for one in all_components(network):
        assert one.argv[0] in {*programs.needed(network), *packages.PROGRAMS}, one.name


def test_the_configuration_without_cilium_does_not_mention_it() -> None:
    texts = [*all_files().values(), *(" ".join(one.argv) for one in all_components()), *programs.groups(Network.PTP)]
    audit_policy = {config.audit_policy()}
    assert not [text for text in texts if "cilium" in text and text not in audit_policy]
    assert not set(cilium.USERS) & {one.name for one in components.certificates("machine")}


def test_the_device_that_cilium_is_configured_with_cannot_exist() -> None:
    """The name of an interface has 15 characters at most."""
    [agent] = [one.argv for one in all_components(Network.CILIUM) if one.name == "cilium-agent"]
    [device] = [word.removeprefix("--devices=") for word in agent if word.startswith("--devices=")]
    assert len(device) > 15


def test_the_plugins_of_the_network_configuration_are_in_the_runtimes_folder(tmp_path: Path) -> None:
    place = Layout(root=tmp_path)
    (tmp_path / "built" / "bpf").mkdir(parents=True)
    bin_dir = f'bin_dir = "{place.plugins}"'
    assert bin_dir in config.containerd(place, sandbox_image="pause", network=Network.CILIUM)
    assert bin_dir not in config.containerd(place, sandbox_image="pause", network=Network.PTP)
    cilium.install_files(place, {name: tmp_path / "built" / "bin" / name for name in programs.FOR_CILIUM})
    plugins = json.loads(config.network_config(place, Network.CILIUM))["plugins"]
    # The runtime also runs `loopback`, which is not configured.
    assert {plugin["type"] for plugin in plugins} | {"loopback"} == {link.name for link in place.plugins.iterdir()}


def test_buildkit_and_image_names_have_the_same_registry() -> None:
    assert REGISTRY.startswith("localhost:")
    assert f'[registry."{REGISTRY}"]' in config.buildkitd(PLACE)


def test_etcd_takes_only_clients_with_a_certificate_of_its_own_authority() -> None:
    arguments = {one.name: one.argv for one in all_components()}
    authority = PLACE.etcd_pki / "ca.crt"
    assert authority != PLACE.pki / "ca.crt"
    for prefix in ("", "peer-"):
        assert f"--{prefix}client-cert-auth" in arguments["etcd"]
        assert f"--{prefix}trusted-ca-file={authority}" in arguments["etcd"]
    assert not [word for word in (*arguments["etcd"], *arguments["kube-apiserver"]) if "http://" in word]
    issued = {one.name for one in components.etcd_certificates()}
    for word in (*arguments["etcd"], *arguments["kube-apiserver"]):
        _, _, path = word.partition("=")
        if path.startswith(str(PLACE.etcd_pki)):
            assert Path(path).stem in {"ca", *issued}
