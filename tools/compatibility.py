"""Whether client, server, prefect-dask, Dask, the operator and its CRDs fit each other, and which versions would."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeGuard

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from ephemeral_dask.contract.release import RELEASE
from infra import naming
from infra.flow_signature.lock import normalized
from infra.image_files import flow_builds
from infra.project import PACKAGE
from infra.registration.cluster_state import DASK_CRDS, OPERATOR_IMAGE
from infra.settings import Settings
from tools.errors import Problem

PLATFORM: Final = "requirements/platform.txt"
"""The lock of the platform image: Prefect's server and worker, and the Dask operator."""

_OPERATOR: Final = "dask-kubernetes"
_PACKAGES: Final = ("prefect", "prefect-dask", "dask", "distributed", _OPERATOR, "kr8s")
"""What flow images, platform image and cluster must agree about; the ranges are in pyproject.toml."""

_OWN: Final = "ephemeral-dask"

GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "requirements/dev.txt": ("infra", "flows", "platform", "tools"),
    "requirements/flows.txt": ("flows",),
    PLATFORM: ("platform",),
}
"""Lock -> groups of the program that it has."""

_MOST: Final = 3
"""Packages that a message names."""

_PINNED: Final = re.compile(r"^[ \t]*([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)
"""At the beginning of a line: elsewhere it would be tried at every character of every hash."""


@dataclass(frozen=True, kw_only=True)
class Locks:
    """The locked versions of the packages that must fit, by file.

    Attributes:
        flows: file -> package -> version, of the stack's flow images.
        platform: package -> version, of the platform image.
        ranges: package -> versions that are tested, as in pyproject.toml.

    """

    flows: Mapping[str, Mapping[str, str]]
    platform: Mapping[str, str]
    ranges: Mapping[str, SpecifierSet]

    @property
    def newest_client(self) -> tuple[str, str]:
        """File and version of the newest Prefect that a flow image has; empty without one."""
        clients = [(file, lock["prefect"]) for file, lock in self.flows.items() if _is_version(lock.get("prefect"))]
        return max(clients, key=lambda one: Version(one[1]), default=("", ""))


def read(settings: Settings, root: Path) -> Locks:
    """Read the lock files of a stack's images.

    Args:
        settings: of the stack. A flow image of another pipeline has no file here.
        root: of the project.

    """
    files = dict.fromkeys(build.requirements for build in flow_builds(settings.image).values())
    project = tomllib.loads((root / PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [Requirement(text) for text in project["dependencies"]]
    return Locks(
        flows={file: pins(root / file) for file in files if (root / file).is_file()},
        platform=pins(root / PLATFORM),
        ranges={each.name: each.specifier for each in requirements if each.name in _PACKAGES},
    )


def pins(path: Path) -> dict[str, str]:
    """Return package -> version of a file in pip's format; what has no exact version is left out."""
    lines = _PINNED.finditer(path.read_text(encoding="utf-8-sig", errors="replace"))
    return {normalized(each[1]): each[2] for each in lines}


def untested(locks: Locks) -> Iterator[Problem]:
    """Yield a problem for each package of a flow image that is outside the tested versions. It may work."""
    for file, lock in locks.flows.items():
        if lock.get(_OWN, RELEASE) != RELEASE:
            yield Problem(
                f"{file} has {_OWN} {lock[_OWN]}, and the program is release {RELEASE}, whose package the image gets",
                remedy=f"Remove {_OWN} from the requirements and lock them again: the program brings it",
            )
        for package, tested in locks.ranges.items():
            version = lock.get(package)
            if _is_version(version) and not tested.contains(version, prereleases=True):
                yield Problem(
                    f"{file} has {package} {version}, and this project is tested with {_words(tested)}",
                    remedy=f"Pin {package}=={locks.platform.get(package) or _first(tested)} and lock it again",
                )


def stale(root: Path) -> Iterator[Problem]:
    """Yield a problem for each lock of `make lock` that lacks what the program pins, as after an update of it."""
    groups = tomllib.loads((root / PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    for file, names in GROUPS.items():
        locked = pins(root / file)
        pinned = [entry.partition("==") for name in names for entry in groups[name] if isinstance(entry, str)]
        expected = {name: version for name, equals, version in pinned if equals}
        wrong = [
            f"{name} {locked.get(name, '-')} instead of {expected[name]}"
            for name in expected
            if locked.get(name) != expected[name]
        ]
        if wrong:
            yield Problem(
                f"{file} has {', '.join(wrong[:_MOST])}, so it was made for another release of the program",
                remedy="Run make lock, and commit requirements/",
            )


def unfit(locks: Locks) -> Iterator[Problem]:
    """Yield a problem for each flow image whose packages cannot work together, or with the platform image."""
    for file, lock in locks.flows.items():
        yield from _unlike_each_other(file, lock)
        yield from _unlike_platform(file, lock, locks.platform)


def of_server(server: str, locks: Locks) -> Iterator[Problem]:
    """Yield a problem if a Prefect server is of another major version than the clients in flow images, or older.

    Prefect itself refuses the one and warns about the other, in every run (`raise_for_api_version_mismatch`).
    """
    file, client = locks.newest_client
    if not client or not _is_version(server):
        return
    if Version(server).major != Version(client).major or Version(server) < Version(client):
        yield Problem(
            f"The Prefect server has version {server}, and {file} has prefect {client}: a server must have the major"
            " version of its clients and must not be older",
            remedy=f"Upgrade the server to {client} or a later {Version(client).major}.x, or pin prefect=={server} in"
            " pyproject.toml and run make lock",
        )


def of_cluster(
    crds: Sequence[Mapping[str, Any]], operators: Sequence[Mapping[str, Any]], locks: Locks, *, namespace: str
) -> Iterator[Problem]:
    """Yield a problem for each CRD of Dask, and each operator, that is of another release than the flow images expect.

    Args:
        crds: the CustomResourceDefinitions of the cluster.
        operators: the Deployments in the namespace of the operator.
        locks: of the stack.
        namespace: of the operator.

    """
    expected = locks.platform.get(_OPERATOR, "")
    if not _is_version(expected):
        return
    for crd in crds:
        name, marks = crd["metadata"]["name"], crd["metadata"].get("annotations") or {}
        version = marks.get(naming.DASK_VERSION)
        if name in DASK_CRDS and _is_version(version) and Version(version) != Version(expected):
            yield Problem(
                f"CRD {name} is of dask-kubernetes {version}, and this project has {expected}",
                remedy=f"Run make up to install those of {expected}"
                if Version(version) < Version(expected)
                else f"Upgrade this project to dask-kubernetes {version}: another stack of this cluster has it",
            )
    for deployment in operators:
        for container in deployment["spec"]["template"]["spec"]["containers"]:
            image, version = container["image"], container["image"].partition("@")[0].rpartition(":")[2]
            if OPERATOR_IMAGE in image and _is_version(version) and Version(version) != Version(expected):
                name = f"{namespace}/{deployment['metadata']['name']}"
                yield Problem(
                    f"The Dask operator {name} has version {version}, and flow images have dask-kubernetes {expected}",
                    remedy=f"Install the operator of {expected}, or pin dask-kubernetes=={version} in pyproject.toml"
                    " and run make lock",
                )


def _unlike_each_other(file: str, lock: Mapping[str, str]) -> Iterator[Problem]:
    dask, distributed = lock.get("dask"), lock.get("distributed")
    if dask and distributed and dask != distributed:
        yield Problem(
            f"{file} has dask {dask} and distributed {distributed}, which are released together",
            remedy=f"Pin dask=={distributed} and distributed=={distributed} and lock them again",
        )


def _unlike_platform(file: str, lock: Mapping[str, str], platform: Mapping[str, str]) -> Iterator[Problem]:
    version, operator = lock.get(_OPERATOR), platform.get(_OPERATOR)
    if version and operator and version != operator:
        yield Problem(
            f"{file} has dask-kubernetes {version}, and the operator and its CRDs in {PLATFORM} are of {operator}",
            remedy=f"Pin dask-kubernetes=={operator} and lock it again",
        )


def _words(tested: SpecifierSet) -> str:
    return " and ".join(sorted(map(str, tested), reverse=True))


def _first(tested: SpecifierSet) -> str:
    return next((each.version for each in tested if each.operator == ">="), str(tested))


def _is_version(text: str | None) -> TypeGuard[str]:
    try:
        return bool(text and Version(text))
    except InvalidVersion:
        return False
