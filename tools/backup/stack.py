"""Backup and restore of a stack that is up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra import naming
from infra.components.prefect_server import DATA
from tools.backup import archive
from tools.backup.pods import Kubectl
from tools.engine import urn
from tools.engine.results import State
from tools.errors import Problem
from tools.progress import say

CLAIM: Final = "kubernetes:core/v1:PersistentVolumeClaim"
_DATABASE: Final = f"{DATA}/prefect.db"
_COPY: Final = "/tmp/backup.db"  # noqa: S108  the emptyDir of the server's pod
_RESULTS: Final = "/results"
_SERVER: Final = ",".join(f"{key}={value}" for key, value in naming.selector(naming.SERVER).items())


@dataclass(frozen=True, kw_only=True)
class Volume:
    """A claim of the stack, where the last update has put it."""

    namespace: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Volumes:
    """The volumes of a stack.

    Attributes:
        database: of an embedded server with SQLite; None without one.
        results: of task results; None without one.
        image: the platform image, by digest, which has Python.
        environment: of the target.

    """

    database: Volume | None
    results: Volume | None
    image: str
    environment: Mapping[str, str]

    @classmethod
    def of(cls, state: State, outputs: Mapping[str, Any], environment: Mapping[str, str]) -> Volumes:
        """Return the volumes that the state of a stack names: they may be where an earlier version has put them."""
        claims = {urn.name(str(each["urn"])): each for each in state.of_type(CLAIM)}
        return cls(
            database=_volume(claims.get("prefect-server-volume")),
            results=_volume(claims.get("results-claim")),
            image=str(outputs.get("platformImage", "")),
            environment=environment,
        )

    def kubectl(self, volume: Volume) -> Kubectl:
        return Kubectl(namespace=volume.namespace, environment=self.environment)


def _volume(resource: Mapping[str, Any] | None) -> Volume | None:
    if resource is None:
        return None
    metadata = resource["inputs"]["metadata"]
    return Volume(namespace=str(metadata["namespace"]), name=str(metadata["name"]))


def back_up(stack: str, volumes: Volumes, path: Path) -> None:
    """Write the database and the results of a stack to a file.

    Args:
        stack: its name.
        volumes: of the stack.
        path: of a file that does not exist.

    Raises:
        Problem: the stack has no volume, or something could not be read; no file is left then.

    """
    if volumes.database is None and volumes.results is None:
        raise Problem(f"Stack {stack} has no volume to back up", remedy="Back up its database with its own tools")
    with archive.written(path) as file:
        if volumes.database is not None:
            server = volumes.kubectl(volumes.database).program(f"deployment/{naming.SERVER}", "server")
            with file.part(archive.DATABASE) as target:
                file.parts[archive.DATABASE] = server.run("read-database", _DATABASE, _COPY, target=target)
            say(f"    database: {_size(file.parts[archive.DATABASE])}")
        if volumes.results is not None:
            options = {"image": volumes.image, "account": naming.DASK}
            kubectl = volumes.kubectl(volumes.results)
            with (
                kubectl.pod(volumes.results.name, _RESULTS, **options, read_only=True) as pod,
                file.part(archive.RESULTS) as target,
            ):
                file.parts[archive.RESULTS] = pod.run("read-files", _RESULTS, target=target)
            say(f"    results: {_size(file.parts[archive.RESULTS])}")
        file.finish(stack)


def restore(stack: str, volumes: Volumes, path: Path) -> None:
    """Put back what a backup holds: the database as a whole, and results over those that exist.

    The Prefect server is stopped meanwhile. A backup of a database at another migration is refused before that.

    Args:
        stack: its name.
        volumes: of the stack.
        path: of a file that `back_up` has written.

    Raises:
        Problem: the backup does not fit the stack, or something could not be written.

    """
    with archive.verified(path) as file:
        for name, volume in ((archive.DATABASE, volumes.database), (archive.RESULTS, volumes.results)):
            if name in file.parts and volume is None:
                raise Problem(
                    f"{path} holds {name}, and stack {stack} has no volume for it",
                    remedy="Bring up a stack with the same kind of database and results",
                )
        if archive.DATABASE in file.parts and volumes.database is not None:
            _restore_database(volumes, volumes.database, file)
            say(f"    database: {_size(file.parts[archive.DATABASE])}; the server is ready")
        if archive.RESULTS in file.parts and volumes.results is not None:
            kubectl, sha256 = volumes.kubectl(volumes.results), str(file.parts[archive.RESULTS]["sha256"])
            options = {"image": volumes.image, "account": naming.DASK}
            with (
                kubectl.pod(volumes.results.name, _RESULTS, **options, read_only=False) as pod,
                file.open(archive.RESULTS) as source,
            ):
                pod.run("write-files", _RESULTS, sha256, source=source)
            say(f"    results: {_size(file.parts[archive.RESULTS])}")
        if archive.DATABASE in file.parts and volumes.database is not None:
            _wait_for_clients(volumes.kubectl(volumes.database))


def _wait_for_clients(kubectl: Kubectl) -> None:
    """Wait for what asks the server: a worker is not ready meanwhile, and the next preview would repair it."""
    try:
        kubectl.wait_until_available(naming.PART_OF)
    except Problem as problem:
        raise Problem(
            f"All data are restored, and the platform is not available again: {problem.what}",
            remedy="`make doctor` names what is missing",
        ) from None


def _restore_database(volumes: Volumes, volume: Volume, file: archive.Reader) -> None:
    kubectl, part = volumes.kubectl(volume), file.parts[archive.DATABASE]
    sha256, version = str(part["sha256"]), str(part["version"])
    live = kubectl.program(f"deployment/{naming.SERVER}", "server").run("database-version", _DATABASE)["version"]
    if live != version:
        raise Problem(
            f"The backup's database is at migration {version}, and the server's at {live}: they are of different"
            " versions of Prefect",
            remedy="Check out the commit that the backup was made with, make up, and restore there",
        )
    options = {"image": volumes.image, "account": naming.SERVER}
    with (
        kubectl.stopped(naming.SERVER, _SERVER),
        kubectl.pod(volume.name, DATA, **options, read_only=False) as pod,
        file.open(archive.DATABASE) as source,
    ):
        pod.run("write-database", _DATABASE, sha256, version, source=source)


def _size(part: Mapping[str, Any]) -> str:
    return f"{part['bytes'] / 2**20:.1f} MiB"
