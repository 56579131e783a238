"""Lets Dask count the result of a task run, which is inside the state that the task run returns to its worker.

Dask estimates what a value takes in memory (`dask.sizeof`) and adds the estimates up: for the share of the memory
above which it moves values to disk (`distributed.worker.memory.target`), for its limits on transfers, and to place
tasks. To it a Prefect state takes some 80 bytes, whatever result it holds. Every process that imports Dask calls
`register`, by the entry point `dask.sizeof` (https://docs.dask.org/en/stable/how-to/extend-sizeof.html); before there
is a state it imports nothing.
"""

from __future__ import annotations

import sys
from typing import Any


def register(sizeof: Any) -> None:
    """Register the sizes of states and of result records once Dask meets the first object of Prefect.

    Args:
        sizeof: `dask.sizeof.sizeof`.

    """

    def register_prefect() -> None:
        from prefect.client.schemas.objects import State  # noqa: PLC0415 - a scheduler does not import Prefect
        from prefect.results import ResultRecord  # type: ignore[attr-defined]  # noqa: PLC0415 - the same; not in __all__

        def state_size(state: State[Any]) -> int:
            return sys.getsizeof(state) + int(sizeof(state.data))

        def record_size(record: ResultRecord[Any]) -> int:
            return sys.getsizeof(record) + int(sizeof(record.result))

        sizeof.register(State, state_size)
        sizeof.register(ResultRecord, record_size)

    sizeof.register_lazy("prefect", register_prefect)
