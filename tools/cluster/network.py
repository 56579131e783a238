"""The choice of the pod network."""

from __future__ import annotations

import enum
import os
from pathlib import Path

from tools.errors import Problem

VARIABLE = "EPHEMERAL_DASK_NETWORK"
"""Environment variable: the network of the local cluster. `make cluster-up NETWORK=...` sets it."""


class Network(enum.StrEnum):
    """The network that connects pods.

    Attributes:
        PTP: Debian's CNI plugins, with a pair of interfaces for each pod. NetworkPolicies are accepted, not enforced.
        CILIUM: Cilium, which enforces NetworkPolicies. It takes six more minutes to build, once, and 0.3 GiB of memory.

    """

    PTP = "ptp"
    CILIUM = "cilium"


def requested() -> Network | None:
    """Return the network that the environment requests; None when it requests none.

    Raises:
        Problem: the requested network does not exist.

    """
    name = os.environ.get(VARIABLE)
    if not name:
        return None
    try:
        return Network(name)
    except ValueError as error:
        raise Problem(
            f"{VARIABLE}={name} is not a network of the local cluster",
            remedy=f"Set it to {' or '.join(Network)}",
        ) from error


def recorded(file: Path) -> Network | None:
    """Return the network that the last cluster was started with; None when there was no cluster."""
    try:
        return Network(file.read_text().strip())
    except (OSError, ValueError):
        return None
