"""The process that runs the flow: `python -m tools.laptop.child`, with the job in its environment."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import signal
import sys
from typing import Any, Final

JOB: Final = "EPHEMERAL_DASK_LAPTOP_JOB"
"""JSON with `entrypoint` and `parameters`."""


def main() -> int:
    """Run the flow, print its result, and return 0 if it completed."""
    # A shell in the background lets its programs ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from prefect.flows import load_flow_from_entrypoint  # noqa: PLC0415  seconds, in which Ctrl-C already works

    from ephemeral_dask import flow_result  # noqa: PLC0415  likewise

    job = json.loads(os.environ.pop(JOB))
    try:
        flow: Any = load_flow_from_entrypoint(job["entrypoint"])
    except Exception as error:  # noqa: BLE001  whatever importing a person's code may raise
        print(f"error: {job['entrypoint']} cannot be loaded: {type(error).__name__}: {error}", flush=True)
        return 1
    try:
        outcome = flow(**job["parameters"])
        if inspect.isawaitable(outcome):
            outcome = asyncio.run(_result(outcome))
    except Exception as error:  # noqa: BLE001  Prefect has logged it with its traceback
        print(f"failed: {type(error).__name__}: {error}", flush=True)
        return 1
    if text := flow_result.as_json(outcome):
        print(f"result: {text}", flush=True)
    elif outcome is not None:
        print(f"result: a {type(outcome).__name__}, which is long or has no form in JSON", flush=True)
    return 0


async def _result(outcome: Any) -> Any:
    return await outcome


if __name__ == "__main__":
    sys.path.insert(0, os.path.join(os.getcwd(), "src"))  # noqa: PTH109, PTH118  as in the flow image
    sys.exit(main())
