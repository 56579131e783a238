"""Dask clients that notice the loss of their cluster at once, and never connect to another scheduler in its place.

Dask's own client waits for the scheduler for half a minute. Where one comes back, it knows nothing of the tasks that
were submitted before; where it said goodbye first, as a pod does that is deleted, their futures never end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from distributed import Client
from prefect.context import TagsContext
from prefect_dask.client import PrefectDaskClient

from ephemeral_dask.submission import Submission

REASON: Final = "scheduler-connection-lost"
"""Why futures are cancelled: the word that Dask uses."""

_NOTICED_WITHIN: Final = 10.0
"""Seconds between a request that fails because the scheduler is gone, and the end of the connection to it."""


class LosableClient(Client):
    """A client whose `lost` event is set when the connection to its scheduler ends, for whatever reason but its close.

    Args:
        address: a cluster or a scheduler's address.
        on_lost: is called once, in the client's event loop.

    """

    def __init__(
        self, address: Any = None, *, on_lost: Callable[[Any], None] = lambda _client: None, **options: Any
    ) -> None:
        self.lost = threading.Event()
        self._on_lost = on_lost
        super().__init__(address, **options)  # type: ignore[no-untyped-call]  # it carries no annotation

    def is_lost(self) -> bool:
        """Return whether a request that has just failed did so because the scheduler is gone."""
        return self.lost.wait(_NOTICED_WITHIN if self.status not in ("closing", "closed") else 0)

    def retire(self) -> None:
        """Close it, lost or not."""
        if self.lost.is_set():
            self.status = "connecting"  # or it would count as closed
        self.close()  # type: ignore[no-untyped-call]  # as above

    async def _handle_report(self) -> None:
        await super()._handle_report()
        if self.status not in ("closing", "closed"):
            await self._reconnect()

    async def _reconnect(self) -> None:
        self.lost.set()
        self.status = "closed"  # what is submitted from now on fails at once
        for state in list(self.futures.values()):
            state.cancel(reason=REASON)
        self._on_lost(self)


class _RememberingClient(Client):
    """Adds to each future of a Prefect task what it takes to submit the task again."""

    def submit(self, func: Callable[..., Any], *args: Any, **arguments: Any) -> Any:
        submit: Callable[..., Any] = super().submit  # which carries no annotation
        future = submit(func, *args, **arguments)
        if "task_run_id" in arguments:
            tags = TagsContext.get()
            future.submission = Submission(func, arguments, frozenset(tags.current_tags if tags else ()))
        return future


class RunClient(PrefectDaskClient, LosableClient, _RememberingClient):
    """The client of a run's task runner."""
