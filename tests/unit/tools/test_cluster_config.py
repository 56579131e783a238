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

from tools.cluster import Layout, components, config, images, storage
from tools.cluster.api import node_ready
from tools.cluster.images import Image
from tools.cluster.layout import NODE_IP, PORTS, REGISTRY
from tools.errors import Problem

PLACE = Layout(root=Path("/state/cluster"), images=Path("/cache/images"))
FILES = config.all_files(PLACE, sandbox_image="pause@sha256:1", helper_image="busybox@sha256:2", resolver=True)
SYSTEM = ("/usr/lib/cni", "/etc/resolv.conf")
"""What the cluster uses of the machine."""


def test_every_path_in_files_and_arguments_is_below_the_clusters_folder() -> None:
    texts = {str(path): text for path, text in FILES.items()}
    texts |= {one.name: " ".join(one.argv) for one in components.components(PLACE, helper_image="busybox")}
    assert all(Path(path).is_relative_to(PLACE.root) for path in FILES)
    for name, text in texts.items():
        for path in re.findall(
            r"""(?<=["'= /])/[a-z][\w./-]+""", text.replace("unix://", " ").replace("https://", " ")
        ):
            if path.startswith(("/bin/", "/ephemeral-dask-")) or name == "audit-policy":
                continue
            urls = ("/healthz", "/livez", "/readyz", "/version", "/openapi", "/local-path")
            assert path.startswith(str(PLACE.root)) or path in SYSTEM or path in urls, (name, path)


def test_everything_that_reads_yaml_can_read_its_file() -> None:
    for path, text in FILES.items():
        if path.suffix in {".yaml", ".json", ".conflist", ".kubeconfig"} or path.name in {"kubeconfig", "local"}:
            assert isinstance(yaml.safe_load(text), dict), path


def test_two_clusters_share_no_name_that_the_machine_sees() -> None:
    other = Layout(root=Path("/elsewhere/cluster"))
    assert PLACE.tag != other.tag
    assert (PLACE.id, Layout(root=PLACE.root).id) == (PLACE.id, PLACE.id)


def test_a_port_is_told_to_the_component_that_preflight_says_owns_it() -> None:
    texts = {one.name: " ".join(one.argv) for one in components.components(PLACE, helper_image="busybox")}
    for path, text in FILES.items():
        for name in texts:
            if name in path.stem or (name == "coredns" and path.name == "Corefile"):
                texts[name] += text
    for port in PORTS:
        assert str(port.number) in texts[port.owner], port


def test_only_the_api_server_listens_beyond_this_machine() -> None:
    assert [port.owner for port in PORTS if port.address not in ("127.0.0.1", NODE_IP)] == ["kube-apiserver"]


def test_names_outside_the_cluster_are_asked_for_only_where_the_machine_has_a_resolver() -> None:
    assert "forward" in config.corefile(PLACE, resolver=True)
    assert "forward" not in config.corefile(PLACE, resolver=False)


def test_components_need_only_what_is_started_before_them() -> None:
    known: set[str] = set()
    for one in components.components(PLACE, helper_image="busybox"):
        assert set(one.after) <= known, one.name
        known.add(one.name)


def test_the_storage_class_is_the_default_and_its_provisioner_the_one_that_runs() -> None:
    made = {manifest["kind"]: manifest for _, manifest in storage.manifests()}
    annotations = made["StorageClass"]["metadata"]["annotations"]
    assert annotations == {"storageclass.kubernetes.io/is-default-class": "true"}
    arguments = components.components(PLACE, helper_image="busybox")[-1].argv
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
        raise Problem("The mirror is out of reach", cure="Try again")

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
