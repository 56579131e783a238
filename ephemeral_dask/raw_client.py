"""What `prefect_dask.get_dask_client` gives to a flow: Dask's client, which names the cause when the cluster is lost.

Work that goes to Dask past Prefect cannot be submitted again: nothing knows what it was.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Final

import prefect_dask.utils
from distributed import CancelledError, Client
from prefect.context import FlowRunContext

from ephemeral_dask.clients import LosableClient
from ephemeral_dask.lost import ParentLostError

_SIGNS: Final = (CancelledError, OSError)
"""What a request raises whose scheduler is gone, or that someone cancelled."""


class RawClient(LosableClient):
    """Raises the cause where Dask's own client raises that futures were cancelled.

    Args:
        address: the scheduler's.
        options: of Dask's own client. `security` is that of the run.

    """

    def __init__(self, address: Any = None, **options: Any) -> None:
        if options.get("security") is None and isinstance(address, str) and (recovery := _recovery()) is not None:
            options["security"] = recovery.client.security
        super().__init__(address, **options)

    def sync(self, func: Callable[..., Any], *args: Any, **options: Any) -> Any:
        sync: Callable[..., Any] = super().sync  # which carries no annotation
        try:
            outcome = sync(func, *args, **options)
        except _SIGNS as error:
            if self.is_lost():
                raise self._cause() from error
            raise
        return self._awaited(outcome) if inspect.isawaitable(outcome) else outcome

    async def _awaited(self, work: Awaitable[Any]) -> Any:
        try:
            return await work
        except _SIGNS as error:
            if await asyncio.to_thread(self.is_lost):
                raise await asyncio.to_thread(self._cause) from error
            raise

    def _cause(self) -> BaseException:
        recovery = _recovery()
        if recovery is None:
            return ParentLostError("the Dask cluster of this task was lost")
        cause: BaseException = recovery.cause()
        return cause


def _recovery() -> Any:
    """Return what has the clusters of the run; None outside a flow."""
    context = FlowRunContext.get()
    return getattr(context.task_runner, "recovery", None) if context is not None else None


def install() -> None:
    """Let `get_dask_client` and `get_async_dask_client` make such clients from now on, in this process."""
    names = vars(prefect_dask.utils)
    if names["Client"] is Client:
        names["Client"] = RawClient
