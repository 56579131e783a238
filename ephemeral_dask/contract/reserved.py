"""Names in a pod that the platform owns: the same sentences in a preview and in a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from ephemeral_dask.contract import labels, secrets, tls
from ephemeral_dask.contract.knobs import PREFIX

VARIABLE_PREFIXES: Final = (PREFIX, "PREFECT_API_", "PREFECT__")
"""Beginnings of the environment variables that only the platform and Prefect's worker set. In any case of letters:
Prefect reads its own in lower case too."""

VARIABLES: Final = ("DASK_SCHEDULER_ADDRESS", "DASK_WORKER_NAME", "HOME", "USER", *tls.variables())
"""Further variables of the platform: Dask pods find their cluster and its certificates by them, and a UID without a
name its folder."""

_ACCOUNT: Final = "run/secrets/kubernetes.io/serviceaccount"

FOLDERS: Final = (
    *("/app", "/tmp", "/opt/venv", "/results", "/etc/ephemeral-dask"),  # noqa: S108  mount points
    *("/proc", "/sys", f"/{_ACCOUNT}", f"/var/{_ACCOUNT}"),
)
"""Folders of the image, the scratch space, the results, certificates, the kernel and the pod's account. Nothing
is mounted over or into them."""

_SYSTEM: Final = ("/bin/sh", "/dev/null", "/etc/passwd", "/lib", "/lib64", "/usr/bin", "/usr/lib", "/usr/local/bin")
"""Files and folders of the image's system. Nothing is mounted over them."""

_PYTHON: Final = re.compile(r"(/usr(/local)?)?/lib(64)?(/python3(\.\d+)?(/lib-dynload)?)?")
"""Folders with Python's own modules, in the official images and in Debian's."""

VOLUMES: Final = ("tmp", "scratch", "results", "ca-bundle", tls.VOLUME)
"""Names of the platform's own volumes."""

LABEL_PREFIXES: Final = (f"{labels.DOMAIN}/", "dask.org/", "prefect.io/", "batch.kubernetes.io/", "app.kubernetes.io/")
"""Beginnings of the labels and annotations by which the platform, the operator and Prefect find pods."""

LABELS: Final = ("controller-uid", "job-name")
"""Further labels, with which Kubernetes refuses a Job."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def variable_pattern() -> str:
    """Return the regular expression of reserved variables, for a JSON schema."""
    # A JSON schema has no flag for it.
    prefixes = [
        "".join(f"[{each}{each.lower()}]" if each.isalpha() else each for each in name) for name in VARIABLE_PREFIXES
    ]
    return f"^({'|'.join([*prefixes, *(f'{name}$' for name in VARIABLES)])})"


def label_pattern() -> str:
    """Return the regular expression of reserved labels of a Job, for a JSON schema.

    Labels of Kubernetes' own recommendation, `app.kubernetes.io/*`, select nothing in the namespace of runs.
    """
    prefixes = [re.escape(prefix) for prefix in LABEL_PREFIXES if prefix != "app.kubernetes.io/"]
    return f"^({'|'.join([*prefixes, *(f'{name}$' for name in LABELS)])})"


def variable_error(name: str) -> str | None:
    """Return why an environment variable cannot be set, or None."""
    if name in secrets.CREDENTIAL_VARIABLES:
        return f"contains {name}, a credential: remove it, the platform passes it from a Kubernetes Secret"
    if not _NAME.fullmatch(name):
        return f"contains {name!r}, which is not the name of an environment variable: use letters, digits and _"
    if name.upper().startswith(VARIABLE_PREFIXES) or name in VARIABLES:
        return f"contains {name}, which the platform sets: remove it"
    return None


def variable_errors(names: Iterable[str]) -> list[str]:
    """Return a clause, to be read after the key, for each variable that cannot be set."""
    return [error for error in map(variable_error, names) if error]


def mount_error(path: str) -> str | None:
    """Return why nothing can be mounted at a path, to be read after the key, or None."""
    mount = PurePosixPath(mount_folder(path))
    if not mount.is_absolute() or ".." in mount.parts or ":" in path or path != path.strip():
        return f"{path!r} is not an absolute path without '..' and ':': write one such as /mnt/data"
    for file in map(PurePosixPath, _SYSTEM):
        if mount == file or mount in file.parents:
            return f"'{path}' would hide {file} of the image: choose another folder, such as /mnt/data"
    for folder in FOLDERS:
        own = PurePosixPath(folder)
        if mount == own or own in mount.parents or mount in own.parents:
            return f"'{path}' would hide {folder}, which the platform needs: choose another folder, such as /mnt/data"
    if _PYTHON.fullmatch(str(mount)):
        return f"'{path}' would hide Python's own modules: choose another folder, such as /mnt/data"
    return None


def mount_folder(path: str) -> str:
    """Return the folder of a mount as others can be compared with it: `//mnt/./a/` is `/mnt/a`."""
    # Two leading slashes are a root of their own to pathlib, and the same one to Linux.
    return str(PurePosixPath(re.sub("^/+", "/", path)))


def part_error(path: str) -> str | None:
    """Return why a path within a volume cannot be used, to be read after the key, or None."""
    if not path or path.startswith("/") or ".." in path.split("/") or path != path.strip():
        return f"{path!r} is not a path within the volume: write one without '..' that does not begin with /"
    return None


def prefix_error(prefix: str) -> str | None:
    """Return why the variables of an `envFrom` cannot begin with a prefix, to be read after the key, or None."""
    if prefix and not _NAME.fullmatch(prefix):
        return f"{prefix!r} cannot begin the name of an environment variable: use letters, digits and _"
    # The rest of a name is a key of the object, such as _URL.
    if f"{prefix}_".upper().startswith(VARIABLE_PREFIXES):
        return f"'{prefix}' would make variables that the platform sets: choose another prefix"
    return None


def label_errors(names: Iterable[str]) -> list[str]:
    """Return a clause for each label or annotation that the platform owns."""
    own = (name for name in names if name.startswith(LABEL_PREFIXES) or name in LABELS)
    return [f"contains {name}, which the platform sets: remove it" for name in own]


def patch_errors(patch: Mapping[str, Any]) -> list[str]:
    """Return a clause for each name of the platform that a pod patch would set."""
    metadata, spec = patch.get("metadata") or {}, patch.get("spec") or {}
    errors = [error for field in ("labels", "annotations") for error in label_errors(metadata.get(field) or {})]
    for name in ("containers", "initContainers"):
        for container in spec.get(name) or ():
            errors += variable_errors(str(each.get("name")) for each in container.get("env") or ())
            prefixes = [str(each.get("prefix") or "") for each in container.get("envFrom") or ()]
            errors += [f"contains envFrom, whose prefix {error}" for error in map(prefix_error, prefixes) if error]
            # What a patch takes away is judged with the pod it leaves.
            mounts = [each for each in container.get("volumeMounts") or () if "$patch" not in each]
            paths = [str(each.get("mountPath")) for each in mounts]
            parts = [str(each["subPath"]) for each in mounts if each.get("subPath")]
            errors += [f"contains subPath, and {error}" for error in map(part_error, parts) if error]
            errors += [error for error in map(mount_error, paths) if error]
    errors += [
        f"contains volume '{each['name']}', which is the platform's: choose another name"
        for each in spec.get("volumes") or ()
        if each.get("name") in VOLUMES
    ]
    return errors
