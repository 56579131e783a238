"""The choice of the network that pods are on."""

from __future__ import annotations

import enum
import os
from pathlib import Path

from tools.errors import Problem

VARIABLE = "EPHEMERAL_DASK_NETWORK"
"""Environment variable: the network of the local cluster. `make cluster-up NETWORK=...` sets it."""


class Network(enum.StrEnum):
    """What connects pods.

    Attributes:
        PTP: a pair of interfaces for each pod, of Debian's CNI plugins: NetworkPolicies are accepted and not enforced.
        CILIUM: Cilium, which enforces them, for six minutes more of building (once) and 0.3 GiB more of memory.

    """

    PTP = "ptp"
    CILIUM = "cilium"


def chosen() -> Network | None:
    """Return the network that the environment asks for, if it asks.

    Raises:
        Problem: it asks for one that there is not.

    """
    name = os.environ.get(VARIABLE)
    if not name:
        return None
    try:
        return Network(name)
    except ValueError as error:
        raise Problem(
            f"{VARIABLE}={name} names no network of the local cluster",
            remedy=f"Choose {' or '.join(Network)}",
        ) from error


def noted(file: Path) -> Network | None:
    """Return the network that the last cluster was started with, if there was one."""
    try:
        return Network(file.read_text().strip())
    except (OSError, ValueError):
        return None
