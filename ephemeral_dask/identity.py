"""Which run a Dask cluster belongs to, and the names that follow from it."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Final

from prefect.context import FlowRunContext

MAX_CLUSTER_NAME: Final = 53
"""Characters. dask-kubernetes appends `-scheduler` and a Service name has at most 63."""

_MAX_LABEL: Final = 63
_FLOW_PART: Final = 20
"""Characters of the flow's name in the cluster's: a worker pod's name has 63 and appends much of its own."""


@dataclass(frozen=True, kw_only=True)
class RunIdentity:
    """One attempt of one flow run.

    Attributes:
        flow: the flow's name.
        flow_run_id: the flow run's id; a subflow has one of its own.
        flow_run_name: its name, such as `daring-mole`; empty outside a run.
        attempt: 1 for the first, 2 after a retry or a rescheduling, which keeps the id.

    """

    flow: str
    flow_run_id: str
    flow_run_name: str = ""
    attempt: int = 1

    @property
    def flow_label(self) -> str:
        return slug(self.flow, _MAX_LABEL)

    @property
    def name_label(self) -> str:
        return slug(self.flow_run_name, _MAX_LABEL)

    def cluster_name(self, token: str) -> str:
        """Name a cluster of this attempt: an RFC 1123 label of at most 53 characters.

        The token keeps two clusters of one attempt apart: the flow may open a second one, and a first that
        the operator lost may still be going away.
        """
        start = slug(self.flow, _FLOW_PART)
        if not start[:1].isalpha():
            start = f"flow-{start}".rstrip("-")  # a Service name must begin with a letter
        return f"{start}-{slug(self.flow_run_id, 8)}-{self.attempt % 1000}-{token}"


def new_token() -> str:
    """Return five random characters that a Kubernetes name may hold."""
    return secrets.token_hex(3)[:5]


def slug(text: str, length: int) -> str:
    """Return text as a part of a Kubernetes name or label: a-z, 0-9 and hyphens, at most `length`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:length].strip("-")


def current_run() -> RunIdentity:
    """Return the flow run whose code is being executed, read from Prefect's own context without a request.

    Outside a flow run (a notebook that enters the task runner by hand) there is nothing to name a cluster
    after, and a random one-off identity is returned.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow is None:
        return RunIdentity(flow="unnamed", flow_run_id=secrets.token_hex(4))
    return RunIdentity(
        flow=context.flow.name,
        flow_run_id=str(context.flow_run.id),
        flow_run_name=context.flow_run.name,
        attempt=max(1, context.flow_run.run_count),
    )
