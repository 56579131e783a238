"""What a destroy does first: it pauses the work pools and ends live runs."""

from __future__ import annotations

from collections.abc import Sequence

from pulumi import Resource, ResourceOptions

from infra.registration.drain import Drain, DrainArgs
from infra.settings import Settings
from infra.wiring.foundation import Foundation
from infra.wiring.prefect import PrefectAccess
from infra.wiring.work_pools import WorkPools


def drain(
    settings: Settings, base: Foundation, prefect: PrefectAccess, pools: WorkPools, *, after: Sequence[Resource]
) -> None:
    """Register the drain.

    Args:
        settings: of the stack.
        base: its foundation.
        prefect: how the API is reached.
        pools: whose runs end.
        after: everything that a live run needs. A destroy deletes in reverse order, and so starts with the drain.

    """
    Drain(
        "drain",
        DrainArgs(
            endpoint=prefect.endpoint,
            namespace=base.namespaces.runs,
            pools=[pool.name for pool in pools.pools.values()],
            runs=settings.drain.runs,
            deadline=settings.drain.deadline,
            deployments=sorted(pools.deployments),
        ),
        # Protected like the data: if only the volumes were, a destroy would delete everything else before it fails.
        ResourceOptions(depends_on=[*after], protect=settings.protect),
    )
