"""Work pools, each with a worker and queues."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from infra.settings.flow_run import FlowRun
from infra.settings.job_variable import JobVariable, VariableName
from infra.settings.objects import PrefectName, WorkQueue, unique_priorities
from infra.settings.pod_extras import PodExtras
from infra.settings.types import DnsLabel, Model
from infra.settings.worker import Worker

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


def _pool_name(name: str) -> str:
    if name.lower().startswith("prefect"):
        message = f"name '{name}' is reserved by Prefect: choose one that does not start with 'prefect'"
        raise ValueError(message)
    if not _NAME.fullmatch(name):
        message = f"name '{name}': use up to 40 lower-case letters, digits and dashes; its worker is named after it"
        raise ValueError(message)
    return name


PoolName = Annotated[str, AfterValidator(_pool_name)]


class WorkPool(Model):
    """A Prefect work pool with its own worker."""

    image: DnsLabel | None = None
    """Name of the flow image of its runs; the stack's `flow` when unset."""
    concurrency_limit: int | None = Field(default=None, ge=1)
    """Concurrent runs of the pool; derived from the quota when unset."""
    worker: Worker | None = None
    """Its worker, if it differs from the stack's."""
    flow_run: FlowRun | None = None
    """Its flow pods, if they differ from the stack's."""
    pods: PodExtras = PodExtras()
    """Additions to the flow pods, schedulers and workers of its runs, beside those of the stack."""
    job_variables: dict[VariableName, JobVariable] = Field(default_factory=dict)
    """Job variables of its own by name, beside those of every pool: patches of its pods use them as `{{ name }}`."""
    work_queues: Annotated[dict[PrefectName, WorkQueue], AfterValidator(unique_priorities)] = Field(
        default_factory=dict
    )
    """Its queues by name. A queue that only a deployment names gets Prefect's defaults."""
