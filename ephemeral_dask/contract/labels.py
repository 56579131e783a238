"""Labels that this project puts on Kubernetes objects.

Dask pods never carry Prefect's own `prefect.io/flow-run-id`: the worker's observer watches every pod that has
it and would take a Dask pod's end for the end of the run.
"""

from __future__ import annotations

from typing import Final

DOMAIN: Final = "ephemeral-dask"

FLOW_RUN: Final = f"{DOMAIN}/flow-run"
"""The id of the flow run that a Dask cluster belongs to."""

FLOW_RUN_NAME: Final = f"{DOMAIN}/flow-run-name"
"""Its name: as a label as far as a label value can hold it, as an annotation of the DaskCluster in full."""

FLOW: Final = f"{DOMAIN}/flow"
DEPLOYMENT: Final = f"{DOMAIN}/deployment"
COMPONENT: Final = f"{DOMAIN}/component"
"""What a pod is: `server`, `worker`, `operator`, `flow-run`, `dask`."""

FLOW_RUN_POD: Final = "flow-run"
DASK_POD: Final = "dask"
"""Two of its values: the pod with a flow's own code, and scheduler and workers."""

JOB: Final = f"{DOMAIN}/job"
"""The name of the Job whose pod created a Dask cluster: an admission policy lets no other run change it."""

FLOW_CONTAINER: Final = "prefect-job"
"""Container of a flow pod that runs the flow. Patches and admission webhooks may add others."""

PREFECT_FLOW_RUN: Final = "prefect.io/flow-run-id"
"""Prefect's own label of a run's Job and its pod: the id of the flow run."""

PREFECT_DEPLOYMENT: Final = "prefect.io/deployment-id"
"""Likewise: the id of its deployment. A run without a deployment has no such label."""

JOB_NAME: Final = "batch.kubernetes.io/job-name"
JOB_UID: Final = "batch.kubernetes.io/controller-uid"
"""Kubernetes' own labels of a Job's pods."""

START_TIMEOUT: Final = f"{DOMAIN}/start-timeout"
"""An annotation of a Dask cluster: seconds after which it is given up when its scheduler is not ready."""
