"""Whether the registry that images are pushed to answers at all."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Final

from tools.errors import Problem

_ANSWER: Final = 10.0
"""Seconds that a registry may take to say anything."""

_PLAIN: Final = ("localhost", "127.0.0.1")
"""Hosts to which builders speak plain HTTP."""


def complaints(registry: str) -> list[Problem]:
    """Ask the registry for its version, as every client does first; any answer will do, a refusal too.

    Args:
        registry: host, port and path, as the setting `image.registry` has it. One without a host is the builder's
            own default registry and is not asked.

    Source: the endpoint `/v2/` of the OCI distribution specification.

    """
    host = registry.partition("/")[0]
    if "." not in host and ":" not in host and host not in _PLAIN:
        return []
    scheme = "http" if host.partition(":")[0] in _PLAIN else "https"
    try:
        with urllib.request.urlopen(f"{scheme}://{host}/v2/", timeout=_ANSWER):  # noqa: S310  the scheme is one of two
            return []
    except urllib.error.HTTPError:
        return []
    except (urllib.error.URLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        return [
            Problem(
                f"The registry {host} does not answer ({reason}), so no image could be pushed",
                cure="Correct `image.registry` in the stack's file, or connect to the network that it is in",
            )
        ]
