"""The images that come from nowhere: a Python base, busybox and pause, made out of Debian packages on this machine.

Each is kept in the cache as the files of an OCI image, in a folder named after what it is made of.
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
from pathlib import Path
from typing import IO, Any

from tools.cluster import files
from tools.cluster.programs import search_path, which
from tools.errors import Problem
from tools.progress import step

DEBIAN = "bookworm"
PACKAGES = ("ca-certificates", "python3", "python3-venv")
"""What the base image holds beyond Debian's minimum."""
MIRROR = "EPHEMERAL_DASK_DEBIAN_MIRROR"
"""Environment variable: the Debian mirror for the base image, where debootstrap's own default is out of reach."""
PAUSE_COMMAND = ["/busybox", "sleep", "infinity"]
RECIPE = 1
"""Part of the key of every image: raise it when the way of making one changes."""
UNWANTED = (
    *("dev", "proc", "sys", "run", "tmp", "var/cache/apt", "var/lib/apt/lists", "var/log"),
    *("usr/share/doc", "usr/share/man"),
)
"""Folders of a fresh Debian whose content no container needs."""

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Image:
    """A one-layer image: its name, what decides its content, how its root folder is filled, how it runs."""

    name: str
    ingredients: tuple[str, ...]
    fill: Callable[[Path], None]
    config: dict[str, Any]

    @property
    def key(self) -> str:
        """Twelve characters that change with the content."""
        text = json.dumps([RECIPE, platform.machine(), self.name, self.ingredients, self.config])
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def folder(self) -> str:
        """Its folder's name in the cache."""
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
        """Digest and file of the configuration and the layer."""
        described = json.loads(self.manifest)
        return [
            (described["config"]["digest"], self.folder / "config.json"),
            (described["layers"][0]["digest"], self.folder / "layer.tar.gz"),
        ]


def busybox() -> Path:
    """Debian's static busybox.

    Raises:
        Problem: when there is none.

    """
    found = which("busybox")
    # A dynamic one names its loader near the start of the file; alone in an image it would not run.
    if found is None or b"/ld-" in Path(found).read_bytes()[:4096]:
        raise Problem(
            "There is no statically linked busybox on this machine",
            remedy="Run `apt-get install busybox-static`",
        )
    return Path(found)


def fill_debian(root: Path) -> None:
    """Debian's minimum, Python and the certificates of public authorities.

    Raises:
        Problem: when debootstrap fails, with its last lines; the mirror being out of reach is the usual reason.

    """
    mirror = os.environ.get(MIRROR)
    log = root.with_suffix(".log")
    command = [
        # In a mount namespace of its own: what debootstrap mounts goes with it, even when it is killed.
        *("unshare", "--mount", "--propagation", "private", "debootstrap"),
        *("--variant=minbase", f"--include={','.join(PACKAGES)}", DEBIAN, str(root)),
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
            f"debootstrap cannot make the base image (Debian {DEBIAN}) from "
            f"{mirror or 'its default mirror'}, which may be out of reach",
            remedy=f"Check the network, or name a mirror of Debian in {MIRROR}",
            detail="\n".join(log.read_text(errors="replace").splitlines()[-8:]),
        )
    for name in UNWANTED:
        for entry in (root / name).iterdir() if (root / name).is_dir() else ():
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def fill_busybox(root: Path) -> None:
    """Busybox under all its names, and the few files that programs look for."""
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
    """One file, which sleeps."""
    root.mkdir(parents=True, exist_ok=True)
    shutil.copy(busybox(), root / "busybox")


def catalogue() -> dict[str, Image]:
    """List the images by name. Busybox counts by its content, so that an update of the package makes new ones."""
    box = hashlib.sha256(busybox().read_bytes()).hexdigest()
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    images = [
        Image("debian-python", (DEBIAN, *PACKAGES), fill_debian, {"Cmd": ["python3"], "Env": [path]}),
        Image("busybox", (box,), fill_busybox, {"Cmd": ["sh"], "Env": [path]}),
        # Any id but root's: the sandbox container of a pod needs no rights.
        Image("pause", (box,), fill_pause, {"Cmd": PAUSE_COMMAND, "User": "65535:65535"}),
    ]
    return {image.name: image for image in images}


class _Digester(io.RawIOBase):
    """A writer that counts and digests what passes through."""

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
    # Names say nothing in another image; device nodes are the runtime's business.
    member.uname = member.gname = ""
    return None if member.isdev() else member


def pack(root: Path, folder: Path, config: dict[str, Any]) -> None:
    """Turn a root folder into the files of an OCI image."""
    with (folder / "layer.tar.gz").open("wb") as file:
        packed = _Digester(file)
        with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0, compresslevel=6) as zipped:
            plain = _Digester(zipped)
            with tarfile.open(fileobj=plain, mode="w|", format=tarfile.PAX_FORMAT) as archive:
                for entry in sorted(root.iterdir()):
                    archive.add(entry, arcname=entry.name, filter=_plain)
    described = json.dumps(
        {
            "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{plain.digest.hexdigest()}"]},
        }
    ).encode()
    (folder / "config.json").write_bytes(described)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": {
            "mediaType": _CONFIG_TYPE,
            "digest": f"sha256:{hashlib.sha256(described).hexdigest()}",
            "size": len(described),
        },
        "layers": [{"mediaType": _LAYER_TYPE, "digest": f"sha256:{packed.digest.hexdigest()}", "size": packed.size}],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def ensure(image: Image, cache: Path) -> Built:
    """Take an image out of the cache, and make it first when it is not there. Two who ask at once make it once.

    Raises:
        Problem: see the image's `fill`.

    """
    folder = cache / image.folder
    if folder.is_dir():
        return Built(image.name, folder)
    with files.locked(folder.with_suffix(".lock"), waiting_for=f"another program that makes the image {image.name}"):
        if folder.is_dir():
            return Built(image.name, folder)
        draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".part", dir=cache))
        try:
            with step(f"Making the image {image.name} (once per machine)"):
                result = draft / "image"
                result.mkdir()
                (draft / "root").mkdir(mode=0o755)
                image.fill(draft / "root")
                pack(draft / "root", result, image.config)
                result.rename(folder)
        finally:
            files.remove_tree(draft)
    return Built(image.name, folder)
