"""Renews the lease that a run holds for its deployment's concurrency limit, through an outage of the Prefect server.

Prefect renews a lease of 300 s every 225 s and gives up after three attempts within seconds, which ends the run: a
server that is away for some seconds at the wrong moment is enough
(https://github.com/PrefectHQ/prefect/blob/3.8.8/src/prefect/concurrency/_leases.py). Here a lease lasts longer, is
renewed more often, and is given up only when the server says that it is gone, or when it must have expired. The place
of a run that dies is not kept for longer: the run's final state releases it, and the reaper sets one within seconds.
`tests/unit/ephemeral_dask/test_leases.py` shows that the released Prefect still needs this.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import threading
    from uuid import UUID

    from prefect.client.orchestration import SyncPrefectClient

DURATION: Final = 900.0
"""Seconds that a lease lasts after each renewal."""

INTERVAL: Final = 150.0
"""Seconds between renewals: a server may be away for `DURATION - INTERVAL`, 750 s, at any time."""

RETRY: Final = 10.0
"""Seconds between attempts while the server is away."""


def install() -> None:
    """Let Prefect renew the leases of flow runs as described above; other leases are left to Prefect."""
    from prefect.concurrency import _leases  # noqa: PLC0415  a second to import, which a flow's process pays anyway

    original = _leases._lease_renewal_loop  # noqa: SLF001  Prefect has no public API for it

    def loop(lease_id: UUID, lease_duration: float, stop_event: threading.Event) -> None:
        if not of_the_flow_run(lease_id):
            original(lease_id, lease_duration, stop_event)
            return
        from prefect.client.orchestration import get_client  # noqa: PLC0415  as above

        with get_client(sync_client=True) as client:
            renew(client, lease_id, stop_event)

    _leases._lease_renewal_loop = loop  # noqa: SLF001  as above


def of_the_flow_run(lease_id: UUID) -> bool:
    """Return whether this thread works for a flow run that holds this lease for its deployment."""
    from prefect.context import FlowRunContext  # noqa: PLC0415  as above

    context = FlowRunContext.get()
    if context is None or context.flow_run is None or context.flow_run.state is None:
        return False
    return context.flow_run.state.state_details.deployment_concurrency_lease_id == lease_id


def renew(client: SyncPrefectClient, lease_id: UUID, stop_event: threading.Event) -> None:
    """Renew a lease until `stop_event` is set.

    Raises:
        Exception: the client's last error, if the server says that the lease is gone, or has been away for longer than
            the lease lasts.

    """
    from prefect.logging import get_logger  # noqa: PLC0415  as above

    renewed, away = time.monotonic(), False
    while not stop_event.is_set():
        try:
            client.renew_concurrency_lease(lease_id=lease_id, lease_duration=DURATION)
        except Exception as error:
            if _is_final(error) or time.monotonic() - renewed > DURATION:
                raise
            if not away:
                get_logger("concurrency").warning(
                    "The place of this run in its concurrency limit could not be renewed (%s: %s). "
                    "The run goes on; this is tried again for %.0f s.",
                    type(error).__name__,
                    error,
                    DURATION,
                )
            away = True
            stop_event.wait(RETRY)
        else:
            renewed, away = time.monotonic(), False
            stop_event.wait(INTERVAL)


def _is_final(error: Exception) -> bool:
    """Return whether the server has answered, and will give the same answer again."""
    import httpx  # noqa: PLC0415  as above

    if not isinstance(error, httpx.HTTPStatusError):
        return False
    status = error.response.status_code
    return 400 <= status < 500 and status not in {408, 429}
