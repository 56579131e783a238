"""A connection to a run's Dask scheduler, tried until there is one."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, Final

from distributed.comm.core import CommClosedError
from distributed.core import rpc

from ephemeral_dask import upstream
from ephemeral_dask.contract import ports

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ephemeral_dask.certificates import Certificates

_CONNECT_TIMEOUT: Final = 0.5
_HANDSHAKE_TIMEOUT: Final = 5.0

LOST: Final = (CommClosedError, ConnectionError, TimeoutError)
"""What a request to a scheduler raises that has ended."""

_open_rpc: Callable[..., Any] = rpc  # distributed calls itself typed, but this carries no annotation


async def connect(
    cluster: str, namespace: str, service: Mapping[str, Any], certificates: Certificates | None
) -> tuple[Any, str]:
    """Return a connection to the scheduler, or None and why there is none yet.

    Args:
        cluster: name of the DaskCluster.
        namespace: where it is.
        service: of its scheduler.
        certificates: of the cluster; None if its connections are plain TCP.

    """
    # By address first: a question for a name that DNS does not know yet is answered "no" for 5 s more.
    address = service["spec"].get("clusterIP")
    host = upstream.scheduler_host(cluster, namespace)
    connection = certificates.connection if certificates else {}
    comm = _open_rpc(f"{'tls' if certificates else 'tcp'}://{host}:{ports.SCHEDULER_COMM}", connection_args=connection)
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT):
            _, writer = await asyncio.open_connection(
                host if address in (None, "", "None") else address, ports.SCHEDULER_COMM
            )
        async with asyncio.timeout(_HANDSHAKE_TIMEOUT):
            with contextlib.closing(writer):
                if certificates:  # or the scheduler's log would warn of a connection without a handshake
                    await writer.start_tls(connection["ssl_context"])
            await comm.ncores()
    except Exception as error:  # noqa: BLE001 - see below
        # Until the node knows the new service, its address leads out of the cluster, and another program may
        # answer there in another protocol: anything may be raised.
        await comm.close_rpc()
        return None, f"{host}:{ports.SCHEDULER_COMM} ({error or type(error).__name__})"
    return comm, ""
