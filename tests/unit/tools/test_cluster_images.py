"""The images that are built on this machine."""

import gzip
import hashlib
import json
import os
import tarfile
import threading
from pathlib import Path

import pytest

from tools.cluster import images
from tools.cluster.images import Image
from tools.errors import Problem


def fill(root: Path) -> None:
    (root / "bin").mkdir()
    (root / "bin" / "tool").write_text("tool")
    (root / "bin" / "tool").chmod(0o755)
    (root / "bin" / "alias").symlink_to("tool")


def test_an_image_has_the_digests_of_its_layer_and_configuration(tmp_path: Path) -> None:
    built = images.ensure(Image("tool", ("1",), fill, {"Cmd": ["tool"]}), tmp_path)
    manifest = json.loads(built.manifest)
    for digest, file in built.blobs():
        assert digest == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    layer = gzip.decompress((built.folder / "layer.tar.gz").read_bytes())
    settings = json.loads((built.folder / "config.json").read_bytes())
    assert settings["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert settings["config"] == {"Cmd": ["tool"]}
    assert manifest["layers"][0]["size"] == (built.folder / "layer.tar.gz").stat().st_size
    with tarfile.open(built.folder / "layer.tar.gz") as archive:
        assert archive.getmember("bin/tool").mode == 0o755
        assert archive.getmember("bin/alias").linkname == "tool"


def test_the_key_of_an_image_changes_with_its_content() -> None:
    one = Image("tool", ("1",), fill, {})
    assert one.folder == Image("tool", ("1",), fill, {}).folder
    others = [
        Image("tool", ("2",), fill, {}),
        Image("tool", ("1",), fill, {"Cmd": ["x"]}),
        Image("box", ("1",), fill, {}),
    ]
    assert len({one.folder, *(other.folder for other in others)}) == 4


def test_a_failed_build_leaves_no_files_and_can_be_repeated(tmp_path: Path) -> None:
    def fail(root: Path) -> None:
        (root / "partial").write_text("partial")
        raise Problem("The mirror cannot be reached", remedy="Try again")

    with pytest.raises(Problem, match="cannot be reached"):
        images.ensure(Image("tool", ("1",), fail, {}), tmp_path)
    assert [path for path in tmp_path.iterdir() if path.suffix != ".lock"] == []
    assert images.ensure(Image("tool", ("1",), fill, {}), tmp_path).folder.is_dir()


def test_concurrent_requests_build_an_image_once(tmp_path: Path) -> None:
    builds: list[str] = []
    gate = threading.Event()

    def slow(root: Path) -> None:
        builds.append(root.name)
        gate.wait(5)
        fill(root)

    image = Image("tool", ("1",), slow, {})
    threads = [threading.Thread(target=images.ensure, args=(image, tmp_path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    gate.set()
    for thread in threads:
        thread.join()
    assert len(builds) == 1


def test_the_message_about_an_unreachable_mirror_names_the_variable_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "bin" / "unshare"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho E: cannot reach it\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    monkeypatch.setenv(images.MIRROR, "the mirror")
    with pytest.raises(Problem, match="from the mirror, which may be unreachable") as raised:
        images.fill_debian(tmp_path / "root")
    assert images.MIRROR in str(raised.value)
    assert "E: cannot reach it" in str(raised.value)


def test_a_base_image_of_another_release_of_debian_has_another_key_and_is_installed_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bookworm, trixie = images.debian_python("python", images.DEBIAN), images.debian_python("python", "trixie")
    assert bookworm.key != trixie.key
    fake = tmp_path / "bin" / "unshare"
    fake.parent.mkdir()
    fake.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/command\nmkdir -p {tmp_path}/root\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    trixie.fill(tmp_path / "root")
    assert f" trixie {tmp_path}/root" in (tmp_path / "command").read_text()
