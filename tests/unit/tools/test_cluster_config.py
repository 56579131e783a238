"""Configuration files, arguments and images of the local cluster."""

import gzip
import hashlib
import json
import os
import re
import tarfile
import threading
from pathlib import Path

import pytest
import yaml

from tools.cluster import (
    Layout,
    LocalCluster,
    Network,
    cilium,
    components,
    config,
    images,
    network,
    packages,
    programs,
    storage,
)
from tools.cluster.api import node_ready
from tools.cluster.component import Component
from tools.cluster.images import Image
from tools.cluster.layout import NODE_IP, PORTS, REGISTRY
from tools.errors import Problem

PLACE = Layout(root=Path("/state/cluster"), images=Path("/cache/images"))
SYSTEM = ("/usr/lib/cni", "/etc/resolv.conf")
"""What the cluster uses of the machine."""

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
def test_everything_that_reads_yaml_can_read_its_file(network: Network) -> None:
    for path, text in all_files(network).items():
        if path.suffix in {".yaml", ".json", ".conflist", ".kubeconfig"} or path.name in {"kubeconfig", "local"}:
            assert isinstance(yaml.safe_load(text), dict), path


def test_two_clusters_share_no_name_that_the_machine_sees() -> None:
    other = Layout(root=Path("/elsewhere/cluster"))
    assert PLACE.tag != other.tag
    assert (PLACE.id, Layout(root=PLACE.root).id) == (PLACE.id, PLACE.id)


def test_a_port_is_told_to_the_component_that_preflight_says_owns_it() -> None:
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


def test_names_outside_the_cluster_are_asked_for_only_where_the_machine_has_a_resolver() -> None:
    assert "forward" in config.corefile(PLACE, resolver=True)
    assert "forward" not in config.corefile(PLACE, resolver=False)


@each_network
def test_components_need_only_what_is_started_before_them(network: Network) -> None:
    known: set[str] = set()
    for one in all_components(network):
        assert set(one.after) <= known, one.name
        known.add(one.name)


def test_the_storage_class_is_the_default_and_its_provisioner_the_one_that_runs() -> None:
    made = {manifest["kind"]: manifest for _, manifest in storage.manifests()}
    annotations = made["StorageClass"]["metadata"]["annotations"]
    assert annotations == {"storageclass.kubernetes.io/is-default-class": "true"}
    [arguments] = [one.argv for one in all_components() if one.name == "local-path-provisioner"]
    assert f"--provisioner-name={made['StorageClass']['provisioner']}" in arguments
    assert f"--configmap-name={made['ConfigMap']['metadata']['name']}" in arguments


def condition(status: str, heartbeat: str) -> dict[str, object]:
    return {"status": {"conditions": [{"type": "Ready", "status": status, "lastHeartbeatTime": heartbeat}]}}


def test_a_node_is_ready_only_by_a_word_of_this_run() -> None:
    since = "2026-01-01T00:00:00Z"
    assert node_ready(condition("True", "2026-01-01T00:00:05Z"), since=since)
    assert not node_ready(condition("True", "2025-12-31T23:59:59Z"), since=since)
    assert not node_ready(condition("False", "2026-01-01T00:00:05Z"), since=since)
    assert not node_ready({}, since=since)
    assert not node_ready(None, since=since)


# Networks.


@each_network
def test_every_component_has_the_credentials_that_it_is_told_to_use(network: Network) -> None:
    made = {one.name for one in components.certificates("machine", network)}
    files = all_files(network)
    for one in all_components(network):
        for path in re.findall(r"(?<==)\S+\.kubeconfig", " ".join(one.argv)):
            assert Path(path) in files, one.name
            assert Path(path).stem in made, one.name


@each_network
def test_every_program_of_a_component_is_built_or_comes_with_a_package(network: Network) -> None:
    for one in all_components(network):
        assert one.argv[0] in {*programs.needed(network), *packages.PROGRAMS}, one.name


def test_a_cluster_without_cilium_knows_nothing_of_it() -> None:
    told = [*all_files().values(), *(" ".join(one.argv) for one in all_components()), *programs.groups(Network.PTP)]
    audited = {config.audit_policy()}
    assert not [text for text in told if "cilium" in text and text not in audited]
    assert not set(cilium.USERS) & {one.name for one in components.certificates("machine")}


def test_cilium_attaches_nothing_to_an_interface_of_the_machine() -> None:
    """An interface has a name of 15 characters at most, so one with more can never be there."""
    [agent] = [one.argv for one in all_components(Network.CILIUM) if one.name == "cilium-agent"]
    [device] = [word.removeprefix("--devices=") for word in agent if word.startswith("--devices=")]
    assert len(device) > 15


def test_the_runtime_calls_the_plugins_of_the_network_and_finds_them(tmp_path: Path) -> None:
    place = Layout(root=tmp_path)
    (tmp_path / "built" / "bpf").mkdir(parents=True)
    bin_dir = f'bin_dir = "{place.plugins}"'
    assert bin_dir in config.containerd(place, sandbox_image="pause", network=Network.CILIUM)
    assert bin_dir not in config.containerd(place, sandbox_image="pause", network=Network.PTP)
    cilium.lay_out(place, {name: tmp_path / "built" / "bin" / name for name in programs.FOR_CILIUM})
    wanted = json.loads(config.network_config(place, Network.CILIUM))["plugins"]
    # And the one for `lo`, which the runtime calls without being told to.
    assert {plugin["type"] for plugin in wanted} | {"loopback"} == {link.name for link in place.plugins.iterdir()}


def test_the_network_is_that_of_the_argument_then_of_the_environment_then_of_the_last_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Layout(root=tmp_path)
    monkeypatch.delenv(network.VARIABLE, raising=False)
    assert LocalCluster(place).network is Network.PTP
    place.network.write_text("cilium")
    assert LocalCluster(place).network is Network.CILIUM
    monkeypatch.setenv(network.VARIABLE, "ptp")
    assert LocalCluster(place).network is Network.PTP
    assert LocalCluster(place, network=Network.CILIUM).network is Network.CILIUM
    assert "cilium-agent" in {one.name for one in LocalCluster(place).status()}


def test_a_network_that_there_is_not_is_refused_with_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(network.VARIABLE, "calico")
    with pytest.raises(Problem, match="EPHEMERAL_DASK_NETWORK=calico names no network") as raised:
        LocalCluster()
    assert "ptp or cilium" in str(raised.value)


# Images.


def fill(root: Path) -> None:
    (root / "bin").mkdir()
    (root / "bin" / "tool").write_text("tool")
    (root / "bin" / "tool").chmod(0o755)
    (root / "bin" / "alias").symlink_to("tool")


def test_an_image_is_described_by_the_digests_of_what_it_holds(tmp_path: Path) -> None:
    built = images.ensure(Image("tool", ("1",), fill, {"Cmd": ["tool"]}), tmp_path)
    described = json.loads(built.manifest)
    for digest, file in built.blobs():
        assert digest == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    layer = gzip.decompress((built.folder / "layer.tar.gz").read_bytes())
    settings = json.loads((built.folder / "config.json").read_bytes())
    assert settings["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert settings["config"] == {"Cmd": ["tool"]}
    assert described["layers"][0]["size"] == (built.folder / "layer.tar.gz").stat().st_size
    with tarfile.open(built.folder / "layer.tar.gz") as archive:
        assert archive.getmember("bin/tool").mode == 0o755
        assert archive.getmember("bin/alias").linkname == "tool"


def test_an_image_is_named_after_its_content() -> None:
    one = Image("tool", ("1",), fill, {})
    assert one.folder == Image("tool", ("1",), fill, {}).folder
    others = [
        Image("tool", ("2",), fill, {}),
        Image("tool", ("1",), fill, {"Cmd": ["x"]}),
        Image("box", ("1",), fill, {}),
    ]
    assert len({one.folder, *(other.folder for other in others)}) == 4


def test_an_image_that_cannot_be_made_leaves_nothing_and_is_tried_again(tmp_path: Path) -> None:
    def fail(root: Path) -> None:
        (root / "half").write_text("half")
        raise Problem("The mirror is out of reach", remedy="Try again")

    with pytest.raises(Problem, match="out of reach"):
        images.ensure(Image("tool", ("1",), fail, {}), tmp_path)
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []
    assert images.ensure(Image("tool", ("1",), fill, {}), tmp_path).folder.is_dir()


def test_who_asks_for_the_same_image_at_once_gets_the_one_that_was_made_once(tmp_path: Path) -> None:
    made: list[str] = []
    gate = threading.Event()

    def slow(root: Path) -> None:
        made.append(root.name)
        gate.wait(5)
        fill(root)

    image = Image("tool", ("1",), slow, {})
    threads = [threading.Thread(target=images.ensure, args=(image, tmp_path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert len(made) == 1


def test_images_are_named_by_the_local_registry() -> None:
    assert REGISTRY.startswith("localhost:")
    assert f'[registry."{REGISTRY}"]' in config.buildkitd(PLACE)


def test_a_mirror_out_of_reach_is_a_sentence_that_tells_how_to_name_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "unshare"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho E: cannot reach it\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    monkeypatch.setenv(images.MIRROR, "the mirror")
    with pytest.raises(Problem, match="from the mirror, which may be out of reach") as raised:
        images.fill_debian(tmp_path / "root")
    assert images.MIRROR in str(raised.value)
    assert "E: cannot reach it" in str(raised.value)
