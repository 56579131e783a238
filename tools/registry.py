"""The registry that images are pushed to: whether it answers at all, and what it has.

Source: the OCI distribution specification.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final

from tools.errors import Problem

_ANSWER: Final = 10.0
"""Seconds that a registry may take to say anything."""

_PLAIN: Final = ("localhost", "127.0.0.1")
"""Hosts to which builders speak plain HTTP."""

_MANIFESTS: Final = ", ".join(
    f"application/vnd.{each}+json"
    for each in (
        *("oci.image.index.v1", "oci.image.manifest.v1"),
        *("docker.distribution.manifest.list.v2", "docker.distribution.manifest.v2"),
    )
)
"""Kinds of manifests that are understood: one image, or an index of several."""


def complaints(registry: str) -> list[Problem]:
    """Ask the registry for its version, as every client does first; any answer will do, a refusal too.

    Args:
        registry: host, port and path, as the setting `image.registry` has it. One without a host is the builder's
            own default registry and is not asked.

    Source: the endpoint `/v2/` of the OCI distribution specification.

    """
    host = registry.partition("/")[0]
    if not _names_host(host):
        return []
    try:
        with urllib.request.urlopen(f"{_address(host)}/v2/", timeout=_ANSWER):  # noqa: S310  the scheme is one of two
            return []
    except urllib.error.HTTPError:
        return []
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return [
            Problem(
                f"The registry {host} does not answer ({reason}), so no image could be pushed",
                remedy="Correct `image.registry` in the stack's file, or connect to the network that it is in",
            )
        ]


def read(repository: str, kind: str, key: str) -> Mapping[str, Any]:
    """Return a manifest, or a blob that is JSON.

    Args:
        repository: host and path, without tag and digest.
        kind: `manifests` or `blobs`.
        key: digest, or a manifest's tag.

    Raises:
        Problem: the registry does not have it, does not answer, or asks for a login.

    """
    host, _, path = repository.partition("/")
    if not _names_host(host):
        raise Problem(
            f"The image {repository} names no registry, so it is not known where to ask for it",
            remedy=f"Ask the builder: `docker buildx imagetools inspect --raw {repository}`",
        )
    request = urllib.request.Request(  # noqa: S310  the scheme is one of two
        f"{_address(host)}/v2/{path}/{kind}/{key}", headers={"Accept": _MANIFESTS if kind == "manifests" else "*/*"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER) as answer:  # noqa: S310  as above
            found: Mapping[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        remedy = "See that the stack is up: `make up`"
        if error.code in (401, 403):
            image = f"{repository}{'@' if ':' in key else ':'}{key}"
            remedy = f"Log in and ask the builder: `docker buildx imagetools inspect --raw {image}`"
        raise Problem(
            f"The registry {host} answers HTTP {error.code} for {path}, {kind} {key}", remedy=remedy
        ) from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise Problem(
            f"The registry {host} does not answer ({reason})",
            remedy="Connect to the network that it is in; the local cluster's starts with `make cluster-up`",
        ) from None


def _names_host(part: str) -> bool:
    return "." in part or ":" in part or part in _PLAIN


def _address(host: str) -> str:
    return f"{'http' if host.partition(':')[0] in _PLAIN else 'https'}://{host}"
