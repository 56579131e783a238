"""Names in a pod that the platform owns: the same sentences in a preview and in a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from ephemeral_dask.contract import labels, secrets
from ephemeral_dask.contract.knobs import PREFIX

VARIABLE_PREFIXES: Final = (PREFIX, "PREFECT_API_")
"""Beginnings of the environment variables that only the platform sets."""

VARIABLES: Final = ("DASK_SCHEDULER_ADDRESS", "DASK_WORKER_NAME", "HOME", "USER")
"""Further variables of the platform: Dask pods find their cluster by them, and a UID without a name its folder."""

FOLDERS: Final = ("/app", "/tmp", "/opt/venv", "/results", "/proc", "/sys")  # noqa: S108  mount points
"""Folders of the image, the scratch space, the results and the kernel. Nothing is mounted over or into them."""

_SYSTEM: Final = ("/bin/sh", "/dev/null", "/etc/passwd", "/lib", "/lib64", "/usr/bin", "/usr/lib", "/usr/local/bin")
"""Files and folders of the image's system. Nothing is mounted over them."""

VOLUMES: Final = ("tmp", "scratch", "results", "ca-bundle")
"""Names of the platform's own volumes."""

LABEL_PREFIXES: Final = (f"{labels.DOMAIN}/", "dask.org/", "prefect.io/", "batch.kubernetes.io/", "app.kubernetes.io/")
"""Beginnings of the labels and annotations by which the platform, the operator and Prefect find pods."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def variable_pattern() -> str:
    """Return the regular expression of reserved variables, for a JSON schema."""
    return f"^({'|'.join([*VARIABLE_PREFIXES, *(f'{name}$' for name in VARIABLES)])})"


def label_pattern() -> str:
    """Return the regular expression of reserved labels of a Job, for a JSON schema.

    Labels of Kubernetes' own recommendation, `app.kubernetes.io/*`, select nothing in the namespace of runs.
    """
    prefixes = [re.escape(prefix) for prefix in LABEL_PREFIXES if prefix != "app.kubernetes.io/"]
    return f"^({'|'.join(prefixes)})"


def variable_error(name: str) -> str | None:
    """Return why an environment variable cannot be set, or None."""
    if name in secrets.CREDENTIAL_VARIABLES:
        return f"contains {name}, a credential: remove it, the platform passes it from a Kubernetes Secret"
    if name.startswith(VARIABLE_PREFIXES) or name in VARIABLES:
        return f"contains {name}, which the platform sets: remove it"
    if not _NAME.fullmatch(name):
        return f"contains '{name}', which is not the name of an environment variable: use letters, digits and _"
    return None


def variable_errors(names: Iterable[str]) -> list[str]:
    """Return a clause, to be read after the key, for each variable that cannot be set."""
    return [error for error in map(variable_error, names) if error]


def mount_error(path: str) -> str | None:
    """Return why nothing can be mounted at a path, to be read after the key, or None."""
    # Two leading slashes are a root of their own to pathlib, and the same one to Linux.
    mount = PurePosixPath(re.sub("^/+", "/", path))
    if not mount.is_absolute() or ".." in mount.parts or ":" in path or path != path.strip():
        return f"'{path}' is not an absolute path"
    for folder in FOLDERS:
        own = PurePosixPath(folder)
        if mount == own or own in mount.parents or mount in own.parents:
            return f"'{path}' would hide {folder}, which the platform needs: choose another folder, such as /mnt/data"
    for file in map(PurePosixPath, _SYSTEM):
        if mount == file or mount in file.parents:
            return f"'{path}' would hide {file} of the image: choose another folder, such as /mnt/data"
    return None


def prefix_error(prefix: str) -> str | None:
    """Return why the variables of an `envFrom` cannot begin with a prefix, to be read after the key, or None."""
    if prefix and not _NAME.fullmatch(prefix):
        return f"'{prefix}' cannot begin the name of an environment variable: use letters, digits and _"
    if prefix.startswith(VARIABLE_PREFIXES):
        return f"'{prefix}' would make variables that the platform sets: choose another prefix"
    return None


def label_errors(names: Iterable[str]) -> list[str]:
    """Return a clause for each label or annotation that the platform owns."""
    return [f"contains {name}, which the platform sets: remove it" for name in names if name.startswith(LABEL_PREFIXES)]


def patch_errors(patch: Mapping[str, Any]) -> list[str]:
    """Return a clause for each name of the platform that a pod patch would set."""
    metadata, spec = patch.get("metadata") or {}, patch.get("spec") or {}
    errors = [error for field in ("labels", "annotations") for error in label_errors(metadata.get(field) or {})]
    for name in ("containers", "initContainers"):
        for container in spec.get(name) or ():
            errors += variable_errors(str(each.get("name")) for each in container.get("env") or ())
            prefixes = [str(each.get("prefix") or "") for each in container.get("envFrom") or ()]
            errors += [f"contains envFrom, whose prefix {error}" for error in map(prefix_error, prefixes) if error]
            paths = [str(each.get("mountPath")) for each in container.get("volumeMounts") or ()]
            errors += [error for error in map(mount_error, paths) if error]
    errors += [
        f"contains volume '{each['name']}', which is the platform's: choose another name"
        for each in spec.get("volumes") or ()
        if each.get("name") in VOLUMES
    ]
    return errors
