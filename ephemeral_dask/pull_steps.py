"""Reports a pull step that fails to Prefect.

Prefect runs pull steps in a process of their own since 3.7. When a step fails, that process writes the error to the log
of the pod and ends, and the run is Crashed with `Process exited with status code: 1`. The function that did so before,
`load_flow_from_flow_run`, also logs the error to the run; https://github.com/PrefectHQ/prefect/pull/22432 brought the
other lines back. `tests/engine/test_pull_steps.py` shows that the released Prefect still needs this.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any
from uuid import UUID

Step = dict[str, Any]
RunStep = Callable[..., Coroutine[Any, Any, Step]]


def reporting(run_step: RunStep) -> RunStep:
    """Return a function that runs a step, and reports its failure to Prefect before it raises it."""

    @wraps(run_step)
    async def run(step: Step, *arguments: Any, **keywords: Any) -> Step:
        try:
            return await run_step(step, *arguments, **keywords)
        except Exception as error:
            await _report(step, error)
            raise

    return run


async def _report(step: Step, error: Exception) -> None:
    """Log a failed step and make the run Crashed with the same sentence: Prefect's later Crashed is then ignored."""
    from prefect.client.orchestration import get_client  # noqa: PLC0415  0.5 s to import, for a failure
    from prefect.logging.loggers import flow_run_logger, get_logger  # noqa: PLC0415
    from prefect.states import Crashed  # noqa: PLC0415
    from prefect.utilities.engine import propose_state  # noqa: PLC0415

    from ephemeral_dask.pull_failure import sentence  # noqa: PLC0415

    text = sentence(step, error)
    try:
        identity = UUID(os.environ["PREFECT__FLOW_RUN_ID"])
        async with get_client() as client:
            run = await client.read_flow_run(identity)
            flow_run_logger(run).error(text)
            await propose_state(client, Crashed(message=text), flow_run_id=run.id)
    except Exception as problem:  # noqa: BLE001  the step's own error follows and must not be replaced
        get_logger("ephemeral_dask").warning("%s (not reported to Prefect: %s)", text, type(problem).__name__)
