"""Labels that this project puts on Kubernetes objects.

Dask pods never carry Prefect's own `prefect.io/flow-run-id`: the worker's observer watches every pod that has
it and would take a Dask pod's end for the end of the run.
"""

from __future__ import annotations

from typing import Final

DOMAIN: Final = "ephemeral-dask"

FLOW_RUN: Final = f"{DOMAIN}/flow-run"
"""The id of the flow run that a Dask cluster belongs to."""

FLOW: Final = f"{DOMAIN}/flow"
DEPLOYMENT: Final = f"{DOMAIN}/deployment"
COMPONENT: Final = f"{DOMAIN}/component"
"""What a pod is: `server`, `worker`, `operator`, `flow-run`, `dask`."""
