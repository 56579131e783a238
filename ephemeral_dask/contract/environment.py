"""Environment variables that describe to a flow run where it is and how large its Dask cluster may be.

`infra` writes them into the work pool's base job template, `ephemeral_dask` reads them in the flow pod. What can be set
per run has its variables in `ephemeral_dask.contract.knobs`.
"""

from __future__ import annotations

from typing import Final

from ephemeral_dask.contract.knobs import PREFIX

NAMESPACE: Final = f"{PREFIX}NAMESPACE"
"""Namespace of runs and their Dask clusters, for flow pods and the Dask operator. Unset outside Kubernetes."""

RELEASE: Final = f"{PREFIX}RELEASE"
"""Release of the program that wrote the work pool: the package in the flow image should have the same."""

IMAGE: Final = f"{PREFIX}IMAGE"
"""Image of the flow pod by digest: scheduler and workers use the same."""

SERVICE_ACCOUNT: Final = f"{PREFIX}SERVICE_ACCOUNT"
"""ServiceAccount of scheduler and workers: one without permissions."""

JOB_NAME: Final = f"{PREFIX}JOB_NAME"
JOB_UID: Final = f"{PREFIX}JOB_UID"
"""The flow run's own Kubernetes Job, from the downward API: the owner of the run's Dask cluster."""

DEPLOYMENT: Final = f"{PREFIX}DEPLOYMENT"
"""Name of the run's Prefect deployment, from the downward API: a label of the flow pod, empty for a run without one.
Prefect's own variable does not reach the process of the flow."""

DEPLOYMENT_ID: Final = f"{PREFIX}DEPLOYMENT_ID"
"""Its id, likewise, which names its folder on the result volume. Unset where all runs share that volume."""

API_SECRET_NAME: Final = f"{PREFIX}API_SECRET_NAME"
API_SECRET_KEY: Final = f"{PREFIX}API_SECRET_KEY"
API_SECRET_VARIABLE: Final = f"{PREFIX}API_SECRET_VARIABLE"
"""The Kubernetes Secret and key that hold the Prefect credential, and the variable (PREFECT_API_KEY or
PREFECT_API_AUTH_STRING) as which Dask workers get it. Unset when the API requires none."""

CEILING: Final = f"{PREFIX}CEILING"
"""The stack's upper bound of `dask_maximum`: a larger value in code is cut to it."""

TLS: Final = f"{PREFIX}TLS"
"""`true` where each run's Dask cluster gets certificates of its own. Unset where its connections are plain TCP."""

DASHBOARD: Final = f"{PREFIX}DASHBOARD"
"""The address at which people's browsers find a run's Dask dashboard, with {cluster} and {namespace} in it."""

RESULTS_CLAIM: Final = f"{PREFIX}RESULTS_CLAIM"
RESULTS_PATH: Final = f"{PREFIX}RESULTS_PATH"
"""The PersistentVolumeClaim with task results and where the flow pod has it: Dask workers mount it at the same path.
Unset where results are kept elsewhere, or not at all."""

PROFILES: Final = f"{PREFIX}PROFILES"
"""The stack's named sizes, as `ephemeral_dask.contract.profiles` writes them. Unset outside Kubernetes."""

PRICES: Final = f"{PREFIX}PRICES"
"""The stack's prices, as `ephemeral_dask.contract.prices` writes them. Unset where there are none."""

PODS: Final = f"{PREFIX}PODS"
"""The stack's additions to the pods of the run, as `ephemeral_dask.contract.pods` writes them. Unset where there are
none."""

ENV: Final = f"{PREFIX}ENV"
"""The job variable `env` of the deployment or the run, which Dask pods get as well: a mapping as Python writes it,
because that is how Prefect's worker turns it into a string."""

JOB_VARIABLES: Final = f"{PREFIX}JOB_VARIABLES"
"""The values of the work pool's own job variables, which patches of Dask pods use: a mapping as `ENV` is one. Unset
where the pool has none."""

PLUGIN: Final = "ephemeral-dask"
"""Name of the package's plugin for Prefect, as in its entry points: a flow pod enables this one."""

PREPARED_PROCESS: Final = "FLOW_PREPARED_PROCESS"
"""`false` has Prefect start an interpreter for pull steps and another one for the flow, as released. A stack sets it in
`pods.env`, a deployment or a run with the job variable `env`, which may not set names that begin with `PREFIX`."""
