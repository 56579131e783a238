"""The images that are built on this machine from Debian packages: a Python base image, busybox and pause.

The cache keeps each as the files of an OCI image, in a folder whose name has a key of its content.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from tools.cluster import files
from tools.cluster.programs import search_path, which
from tools.errors import Problem
from tools.file_lock import locked
from tools.progress import step

DEBIAN = "bookworm"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
"""Packages of the base image, in addition to Debian's minimum."""
MIRROR = "EPHEMERAL_DASK_DEBIAN_MIRROR"
"""Environment variable: the Debian mirror for the base image, for where debootstrap's default cannot be reached."""
PAUSE_COMMAND = ["/busybox", "sleep", "infinity"]
RECIPE = 1
"""Part of the key of every image: raise it when the way in which images are built changes."""
REMOVED = (
    *("dev", "proc", "sys", "run", "tmp", "var/cache/apt", "var/lib/apt/lists", "var/log"),
    *("usr/share/doc", "usr/share/man"),
)
"""Folders of a new Debian whose content no container needs."""

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """An image of one layer.

    Attributes:
        name: its repository in the local registry.
        ingredients: everything that determines its content.
        fill: fills its root folder.
        config: how its containers run, as in the OCI image configuration.

    """

    name: str
    ingredients: tuple[str, ...]
    fill: Callable[[Path], None]
    config: dict[str, Any]

    @property
    def key(self) -> str:
        """Return twelve characters that change with the content."""
        text = json.dumps([RECIPE, platform.machine(), self.name, self.ingredients, self.config])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder(self) -> str:
        """Return the name of its folder in the cache."""
        return f"{self.name}-{self.key}"


@dataclass(frozen=True)
class Built:
    """An image in the cache: `manifest.json`, `config.json` and `layer.tar.gz` in one folder."""

    name: str
    folder: Path

    @property
    def manifest(self) -> bytes:
        return (self.folder / "manifest.json").read_bytes()

    @property
    def digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.manifest).hexdigest()}"

    def blobs(self) -> list[tuple[str, Path]]:
        """Return digest and file of the configuration and of the layer."""
        manifest = json.loads(self.manifest)
        return [
            (manifest["config"]["digest"], self.folder / "config.json"),
            (manifest["layers"][0]["digest"], self.folder / "layer.tar.gz"),
        ]


def busybox() -> Path:
    """Return the path of the statically linked busybox.

    Raises:
        Problem: the machine has none.

    """
    program = which("busybox")
    # A dynamically linked program names its loader near the start of the file, and an image of busybox alone has none.
    if program is None or b"/ld-" in Path(program).read_bytes()[:4096]:
        raise Problem(
            "This machine does not have a statically linked busybox",
            remedy="Run `apt-get install busybox-static`",
        )
    return Path(program)


def fill_debian(root: Path, release: str = DEBIAN) -> None:
    """Install the minimum of a release of Debian, its Python and the certificates of public authorities.

    Raises:
        Problem: debootstrap failed, usually because the mirror cannot be reached; the detail is its last lines.

    """
    mirror = os.environ.get(MIRROR)
    log = root.with_suffix(".log")
    command = [
        # In its own mount namespace, so that debootstrap's mounts vanish with it, even when it is killed.
        *("unshare", "--mount", "--propagation", "private", "debootstrap"),
        *("--variant=minbase", f"--include={','.join(PACKAGES)}", release, str(root)),
        *([mirror] if mirror else []),
    ]
    with log.open("wb") as output:
        result = subprocess.run(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            env=os.environ | {"PATH": search_path()},
        )
    if result.returncode != 0:
        raise Problem(
            f"debootstrap cannot install the base image (Debian {release}) from "
            f"{mirror or 'its default mirror'}, which may be unreachable",
            remedy=f"Check the network, or set {MIRROR} to another mirror of Debian",
            detail="\n".join(log.read_text(errors="replace").splitlines()[-8:]),
        )
    for name in REMOVED:
        for entry in (root / name).iterdir() if (root / name).is_dir() else ():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def fill_busybox(root: Path) -> None:
    """Install busybox under all its names, and the few files that programs expect."""
    program = busybox()
    (root / "bin").mkdir(parents=True)
    shutil.copy(program, root / "bin/busybox")
    for applet in subprocess.run([str(program), "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            (root / "bin" / applet).symlink_to("busybox")
    files.write(root / "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n")
    files.write(root / "etc/group", "root:x:0:\nnogroup:x:65534:\n")
    (root / "root").mkdir(mode=0o700)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)


def fill_pause(root: Path) -> None:
    """Install busybox alone, which runs as `sleep`."""
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(busybox(), root / "busybox")


def debian_python(name: str, release: str) -> Image:
    """Return a base image with the Python of a release of Debian."""
    config = {"Cmd": ["python3"], "Env": [_PATH]}
    return Image(name, (release, *PACKAGES), partial(fill_debian, release=release), config)


def catalogue() -> dict[str, Image]:
    """Return the images by name. The content of busybox is part of their keys: a package update makes new images."""
    box = hashlib.sha256(busybox().read_bytes()).hexdigest()
    images = [
        debian_python("debian-python", DEBIAN),
        Image("busybox", (box,), fill_busybox, {"Cmd": ["sh"], "Env": [_PATH]}),
        # Any id but root's: the sandbox container of a pod needs no privileges.
        Image("pause", (box,), fill_pause, {"Cmd": PAUSE_COMMAND, "User": "65535:65535"}),
    ]
    return {image.name: image for image in images}


class _Digester(io.RawIOBase):
    """A writer that counts and digests what is written through it."""

    def __init__(self, target: IO[bytes] | gzip.GzipFile) -> None:
        self._target = target
        self.digest = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        self.size += len(data)
        self._target.write(data)
        return len(data)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    # The names of users mean nothing in another image, and the container runtime makes device nodes.
    member.uname = member.gname = ""
    return None if member.isdev() else member


def pack(root: Path, folder: Path, config: dict[str, Any]) -> None:
    """Write the files of an OCI image of a root folder."""
    with (folder / "layer.tar.gz").open("wb") as file:
        packed = _Digester(file)
        with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0, compresslevel=6) as zipped:
            plain = _Digester(zipped)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                for entry in sorted(root.iterdir()):
                    archive.add(entry, arcname=entry.name, filter=_plain)
    configuration = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{plain.digest.hexdigest()}"]},
        }
    ).encode()
    (folder / "config.json").write_bytes(configuration)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {
            "mediaType": _CONFIG_TYPE,
            "digest": f"sha256:{hashlib.sha256(configuration).hexdigest()}",
            "size": len(configuration),
        },
        "layers": [{"mediaType": _LAYER_TYPE, "digest": f"sha256:{packed.digest.hexdigest()}", "size": packed.size}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def ensure(image: Image, cache: Path) -> Built:
    """Return an image from the cache, building it first when it is missing. Concurrent calls build it once.

    Raises:
        Problem: the image could not be built; see its `fill`.

    """
    folder = cache / image.folder
    if folder.is_dir():
        return Built(image.name, folder)
    with locked(folder.with_suffix(".lock"), f"builds the image {image.name}"):
        if folder.is_dir():
            return Built(image.name, folder)
        draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=cache))
        try:
            with step(f"Building the image {image.name} (once per machine)"):
                result = draft / "image"
                result.mkdir()
                (draft / "root").mkdir(mode=0o755)
                image.fill(draft / "root")
                pack(draft / "root", result, image.config)
                result.rename(folder)
        finally:
            files.remove_tree(draft)
    return Built(image.name, folder)
