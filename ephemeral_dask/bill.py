"""The pods of a run and how long they were there, cluster after cluster, so that its summary can say what it cost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ephemeral_dask import costs, spec
from ephemeral_dask.costs import Costs, Requests, Share
from ephemeral_dask.groups import LARGE, ORDINARY

if TYPE_CHECKING:
    from ephemeral_dask.identity import RunIdentity
    from ephemeral_dask.pod_context import PodContext
    from ephemeral_dask.settings import DaskSettings
    from ephemeral_dask.usage import Usage

Log = logging.Logger | logging.LoggerAdapter[Any]

_FLOW_POD_TIMEOUT: Final = 5.0
"""Seconds that Kubernetes has to describe the flow pod."""


@dataclass(kw_only=True)
class Bill:
    """What the Dask clusters of one attempt of a run have taken so far. A run never fails because of it.

    Attributes:
        run: whose clusters they are.
        context: where they are, and what the stack pays for that.
        log: of the run.
        shares: of each cluster that has ended.

    """

    run: RunIdentity
    context: PodContext
    log: Log
    shares: list[Share] = field(default_factory=list)

    def add(self, usage: Usage, started: float, settings: DaskSettings) -> None:
        """Add a cluster that has ended.

        Args:
            usage: what it did. Workers count from when they join until they leave.
            started: seconds that its start took, in which the scheduler was there already.
            settings: how large it might become.

        """
        if self.context.prices is None:
            return
        try:
            self._add(usage, started, settings)
        except Exception as error:  # noqa: BLE001 - see above
            self.log.warning("What the run's Dask cluster cost is not known: %r", error)

    async def costs(self, flow_pod: Callable[[], Awaitable[Mapping[str, Any] | None]]) -> Costs | None:
        """Return what the run has cost until now, or None where the stack has no prices.

        Args:
            flow_pod: asks Kubernetes for the flow pod, which counts too.

        """
        prices = self.context.prices
        if prices is None:
            return None
        try:
            pod = await asyncio.wait_for(flow_pod(), _FLOW_POD_TIMEOUT)
            share = costs.of_flow_pod(pod, datetime.now(UTC))
            return Costs.of([*([share] if share else []), *self.shares], prices)
        except Exception as error:  # noqa: BLE001 - see above
            self.log.warning("What the run's flow pod cost is not known: %r", error)
            return Costs.of(self.shares, prices)

    def _add(self, usage: Usage, started: float, settings: DaskSettings) -> None:
        manifest = spec.dask_cluster("cluster", run=self.run, context=self.context, settings=settings)["spec"]
        large = settings.large_worker
        ordinary = usage.group(ORDINARY, only=large is None)
        parts = [
            (costs.SCHEDULER, manifest["scheduler"], started + usage.seconds),
            (costs.WORKERS, manifest["worker"], ordinary.seconds),
        ]
        if large is not None:
            group = spec.large_worker_group("cluster", "", large, run=self.run, context=self.context)["spec"]
            parts.append((costs.WORKERS, group["worker"], usage.group(LARGE, only=False).seconds))
        self.shares += [
            Share(name=name, requests=Requests.of(pod["spec"]), seconds=seconds) for name, pod, seconds in parts
        ]
