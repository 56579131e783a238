"""Environment variables that tell a flow run where it is and how large its Dask cluster may be.

`infra` writes them into the work pool's base job template, `ephemeral_dask` reads them in the flow pod. What a
person may set per run is a job variable of the work pool; each has an environment variable of its own and a
second one for the stack's default, because a template's default would hide what the flow's author wrote in
code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PREFIX: Final = "EPHEMERAL_DASK_"

NAMESPACE: Final = f"{PREFIX}NAMESPACE"
"""Namespace in which the run's Dask cluster is created. Unset outside Kubernetes."""

IMAGE: Final = f"{PREFIX}IMAGE"
"""Image of the flow pod by digest: scheduler and workers use the same."""

SERVICE_ACCOUNT: Final = f"{PREFIX}SERVICE_ACCOUNT"
"""ServiceAccount of scheduler and workers: one without any right."""

JOB_NAME: Final = f"{PREFIX}JOB_NAME"
JOB_UID: Final = f"{PREFIX}JOB_UID"
"""The flow run's own Kubernetes Job, from the downward API: the owner of the run's Dask cluster."""

DEPLOYMENT: Final = f"{PREFIX}DEPLOYMENT"
"""Name of the Prefect deployment, from the downward API (label `prefect.io/deployment-name` of the flow pod).
Optional: it only labels the Dask cluster, so that cost can be told apart."""

API_SECRET_NAME: Final = f"{PREFIX}API_SECRET_NAME"
API_SECRET_KEY: Final = f"{PREFIX}API_SECRET_KEY"
API_SECRET_VARIABLE: Final = f"{PREFIX}API_SECRET_VARIABLE"
"""The Kubernetes Secret and key that hold the Prefect credential, and the variable (PREFECT_API_KEY or
PREFECT_API_AUTH_STRING) as which Dask pods get it. Unset when the API asks for none."""

CEILING: Final = f"{PREFIX}CEILING"
"""The stack's upper bound of `dask_maximum`: what code asks beyond it is cut down to it."""


DASHBOARD: Final = f"{PREFIX}DASHBOARD"
"""The address at which people's browsers find a run's Dask dashboard, with {cluster} and {namespace} in it."""

RESULTS_CLAIM: Final = f"{PREFIX}RESULTS_CLAIM"
RESULTS_PATH: Final = f"{PREFIX}RESULTS_PATH"
"""The PersistentVolumeClaim with task results and where the flow pod has it: Dask workers mount it at the same path.
Unset where results are kept elsewhere, or nowhere."""

PROFILES: Final = f"{PREFIX}PROFILES"
"""The stack's named sizes, as `ephemeral_dask.contract.profiles` writes them. Unset outside Kubernetes."""


@dataclass(frozen=True, kw_only=True)
class JobVariable:
    """One thing that a deployment, or whoever starts a run, may set about the run's Dask cluster.

    Attributes:
        name: the job variable, as prefect.yaml and `prefect deployment run --job-variable` write it.
        type: its JSON-schema type.
        title: what Prefect's form shows.
        description: the same, longer.
        minimum: smallest value allowed, for integers.
        choices: the values allowed, for strings that are one of a few.

    """

    name: str
    type: Literal["integer", "string"]
    title: str
    description: str
    minimum: int | None = None
    choices: tuple[str, ...] = ()

    @property
    def argument(self) -> str:
        """Its name as an argument of `ephemeral_dask()` and as a key of a profile."""
        return self.name.removeprefix("dask_")

    @property
    def variable(self) -> str:
        """Environment variable in the flow pod: set by the deployment or for one run."""
        return PREFIX + self.argument.upper()

    @property
    def default_variable(self) -> str:
        """Environment variable in the flow pod that holds the stack's default."""
        return f"{PREFIX}DEFAULT_" + self.argument.upper()


DASK_PROFILE: Final = JobVariable(
    name="dask_profile",
    type="string",
    title="Dask profile",
    description="One of the stack's named sizes. Each variable below that is set goes before it.",
)
DASK_MINIMUM: Final = JobVariable(
    name="dask_minimum",
    type="integer",
    title="Dask minimum",
    description="Workers that the run's Dask cluster never goes below; with 0 an idle one keeps none.",
    minimum=0,
)
DASK_MAXIMUM: Final = JobVariable(
    name="dask_maximum",
    type="integer",
    title="Dask maximum",
    description="Workers that the run's Dask cluster never goes above.",
    minimum=1,
)
DASK_WORKER_CPU: Final = JobVariable(
    name="dask_worker_cpu",
    type="string",
    title="Dask worker CPU",
    description="CPU request of one Dask worker as a Kubernetes quantity, such as 500m or 2.",
)
DASK_WORKER_MEMORY: Final = JobVariable(
    name="dask_worker_memory",
    type="string",
    title="Dask worker memory",
    description="Memory request and limit of one Dask worker as a Kubernetes quantity, such as 2Gi.",
)
DASK_WORKER_THREADS: Final = JobVariable(
    name="dask_worker_threads",
    type="integer",
    title="Dask worker threads",
    description="Tasks that one Dask worker runs at the same time.",
    minimum=1,
)
DASK_IDLE_TIMEOUT: Final = JobVariable(
    name="dask_idle_timeout",
    type="integer",
    title="Dask idle timeout",
    description="Seconds without a task and a sign of life of its run after which the Dask cluster ends itself.",
    minimum=1,
)
DASK_START_TIMEOUT: Final = JobVariable(
    name="dask_start_timeout",
    type="integer",
    title="Dask start timeout",
    description="Seconds that the Dask cluster may take to start before the run fails with the cause.",
    minimum=1,
)

DASK_SCALING: Final = JobVariable(
    name="dask_scaling",
    type="string",
    title="Dask scaling",
    description="fast: a worker for nearly every waiting task, at once. cheap: only for a minute's work each.",
    choices=("fast", "cheap"),
)

DASK_REPORT: Final = JobVariable(
    name="dask_report",
    type="string",
    title="Dask report",
    description="html: write Dask's performance report into the result storage when the run ends, two seconds' work.",
    choices=("none", "html"),
)

SIZES: Final = (
    DASK_MINIMUM,
    DASK_MAXIMUM,
    DASK_WORKER_CPU,
    DASK_WORKER_MEMORY,
    DASK_WORKER_THREADS,
    DASK_IDLE_TIMEOUT,
    DASK_START_TIMEOUT,
    DASK_SCALING,
    DASK_REPORT,
)
"""What a profile may hold too, and what has a default of the stack."""

JOB_VARIABLES: Final = (DASK_PROFILE, *SIZES)
