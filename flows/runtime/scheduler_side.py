"""What this project lets the run's Dask scheduler execute, sent to it by value.

By reference the scheduler would import this package, and Prefect with it: two seconds in which it serves nobody.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import cloudpickle

cloudpickle.register_pickle_by_value(sys.modules[__name__])


def stay(dask_scheduler: Any) -> None:
    """Begin the idle time anew: the flow pod lives, whatever it is doing without a task."""
    dask_scheduler.idle_since = None


async def call(comm: Any, function: Callable[..., Any]) -> Any:
    """Execute a function of this module in the scheduler and return its answer.

    Args:
        comm: a connection to the scheduler.
        function: takes the scheduler as `dask_scheduler`.

    Raises:
        OSError: the scheduler does not answer.
        RuntimeError: the function failed there.

    """
    answer = await comm.run_function(function=cloudpickle.dumps(function))
    if answer["status"] != "OK":
        raise RuntimeError(f"{function.__name__} failed in the scheduler: {answer.get('text', 'no reason given')}")
    return answer["result"]
