"""What happens inside a pod that mounts a volume. Its source is sent to `python -c`, so it imports nothing of ours.

    python -c SOURCE database-version DATABASE
    python -c SOURCE read-database DATABASE COPY            > database
    python -c SOURCE write-database DATABASE SHA256 VERSION < database
    python -c SOURCE read-files FOLDER                      > tar
    python -c SOURCE write-files FOLDER SHA256              < tar

Its last line on standard error is JSON: `sha256`, `bytes` and `version` of what was transferred, or `error`.
"""

import hashlib
import json
import os
import sqlite3
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

CHUNK = 1 << 20


class RefusedError(Exception):
    """What was received must not be used."""


class Counted:
    """A stream whose bytes are counted and hashed on their way."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.hash, self.bytes = hashlib.sha256(), 0

    def read(self, size: int = CHUNK) -> bytes:
        return self._counted(self.stream.read(size))

    def write(self, data: bytes) -> int:
        self.stream.write(self._counted(data))
        return len(data)

    def report(self) -> dict[str, Any]:
        return {"sha256": self.hash.hexdigest(), "bytes": self.bytes}

    def _counted(self, data: bytes) -> bytes:
        self.hash.update(data)
        self.bytes += len(data)
        return data


def database_version(database: str) -> dict[str, Any]:
    """Return the migration that a database is at."""
    connection = sqlite3.connect(f"file:{database}?mode=rw", uri=True)
    try:
        [(version,)] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    finally:
        connection.close()
    return {"version": version}


def read_database(database: str, copy: str) -> dict[str, Any]:
    """Send a database that a server may be writing to: SQLite copies it at one moment."""
    try:
        source, target = sqlite3.connect(database), sqlite3.connect(copy)
        source.backup(target)
        source.close()
        target.close()
        out = Counted(sys.stdout.buffer)
        with Path(copy).open("rb") as file:
            while data := file.read(CHUNK):
                out.write(data)
        return {**out.report(), **database_version(copy)}
    finally:
        Path(copy).unlink(missing_ok=True)


def write_database(database: str, sha256: str, version: str) -> dict[str, Any]:
    """Replace a database that no server has open."""
    live, received = Path(database), Path(f"{database}.restored")
    source = Counted(sys.stdin.buffer)
    try:
        with received.open("wb") as file:
            while data := source.read():
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if source.hash.hexdigest() != sha256:
            raise RefusedError("the database did not arrive as it was sent")
        if database_version(str(received))["version"] != version:
            raise RefusedError("the backup's database is at another migration than its manifest says")
        if live.exists() and (current := database_version(database)["version"]) != version:
            raise RefusedError(f"the database is at migration {current}, and the backup at {version}")
        connection = sqlite3.connect(received)
        [(answer,)] = connection.execute("PRAGMA integrity_check(1)").fetchall()
        connection.close()
        if answer != "ok":
            raise RefusedError(f"the backup's database is damaged: {answer}")
        for suffix in ("-wal", "-shm"):
            Path(f"{database}{suffix}").unlink(missing_ok=True)
        received.replace(live)
    finally:
        received.unlink(missing_ok=True)
    return source.report()


def read_files(folder: str) -> dict[str, Any]:
    """Send the files and folders of a folder as a tar archive; links and devices are left out."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        if member.islnk():
            # A second name of a file that is in the archive already.
            member.type, member.size = tarfile.REGTYPE, (Path(folder) / member.name).stat().st_size
        return member if member.isfile() or member.isdir() else None

    out = Counted(sys.stdout.buffer)
    with tarfile.open(fileobj=out, mode="w|") as archive:  # type: ignore[call-overload]
        for path in sorted(Path(folder).iterdir()):
            if path.name != "lost+found":
                archive.add(path, arcname=path.name, filter=plain)
    return out.report()


def write_files(folder: str, sha256: str) -> dict[str, Any]:
    """Put the files of a tar archive into a folder, over those of the same name."""
    source = Counted(sys.stdin.buffer)
    with tarfile.open(fileobj=source, mode="r|") as archive:  # type: ignore[call-overload]
        # Not `extract`: its filters came with Python 3.11.4, and distributions have older ones.
        for member in archive:
            name = PurePosixPath(member.name)
            if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
                raise RefusedError(f"{member.name} is not a file or folder inside the volume")
            target = Path(folder) / name
            if member.isdir():
                if not target.is_dir():
                    target.mkdir(parents=True)
                    # With the group of the volume: pods of another user write into the folder of their deployment.
                    target.chmod(member.mode & 0o2777)
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            data = archive.extractfile(member)
            with target.open("wb") as file:
                while data is not None and (chunk := data.read(CHUNK)):
                    file.write(chunk)
            target.chmod(member.mode & 0o777)
            os.utime(target, (member.mtime, member.mtime))
    while source.read():
        pass
    if source.hash.hexdigest() != sha256:
        raise RefusedError("the files did not arrive as they were sent")
    return source.report()


OPERATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "database-version": database_version,
    "read-database": read_database,
    "write-database": write_database,
    "read-files": read_files,
    "write-files": write_files,
}

if __name__ == "__main__":
    try:
        report = OPERATIONS[sys.argv[1]](*sys.argv[2:])
        sys.stdout.flush()
    except (RefusedError, OSError, sqlite3.Error, tarfile.TarError) as error:
        report = {"error": str(error) or type(error).__name__}
    print(json.dumps(report), file=sys.stderr)
    sys.exit(1 if "error" in report else 0)
