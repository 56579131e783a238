"""Which cluster the providers reach: that of `kubernetes:context` and `kubernetes:kubeconfig`, as Pulumi's own does."""

from __future__ import annotations

import atexit
import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pulumi.dynamic import ConfigureRequest

_CONTEXT: Final = "kubernetes:context"
_KUBECONFIG: Final = "kubernetes:kubeconfig"

_configuration: dict[str, str] = {}


def configure(request: ConfigureRequest) -> None:
    """Store what the stack's configuration says. Pulumi calls this before a provider's first request."""
    for key in (_CONTEXT, _KUBECONFIG):
        if value := request.config.get(key):
            _configuration[key] = str(value)


def context(own: str | None) -> str | None:
    """Return the kubeconfig context: a resource's own, else the stack's; None for the current one."""
    return own or _configuration.get(_CONTEXT)


def kubeconfig(own: str | None = None) -> str | None:
    """Return the path of the kubeconfig; None for KUBECONFIG and the usual places.

    Pulumi accepts contents as well. They may hold a credential, so the file is readable by its owner only, and deleted
    when the process ends.
    """
    value = own or _configuration.get(_KUBECONFIG)
    if value is None or ("\n" not in value.strip() and not value.lstrip().startswith("{")):
        return None if value is None else os.path.expanduser(value)  # noqa: PTH111  may be a list of paths
    descriptor, path = tempfile.mkstemp(prefix="kubeconfig-")
    with os.fdopen(descriptor, "w") as file:
        file.write(value)
    atexit.register(_remove, path)
    _configuration[_KUBECONFIG] = path
    return path


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108  pathlib may be gone at the end of the process
