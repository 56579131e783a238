"""What may be set about a run's Dask cluster: one table for settings, profiles, job template, code and runtime.

Each knob is an argument of `ephemeral_dask()`, a key of `dask` and of a profile in the stack's settings, and a job
variable of the work pool. A job variable has two environment variables in the flow pod: one for what the deployment or
the run sets, one for the stack's default. A default in the template itself would hide what the flow's code says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

from ephemeral_dask.contract.quantities import SCHEMA, SMALLEST_WORKER_MEMORY, cores, memory_bytes, text

PREFIX: Final = "EPHEMERAL_DASK_"
"""Start of every environment variable of this project."""


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One thing that can be set about a Dask cluster.

    Attributes:
        argument: its name in `ephemeral_dask()` and, in camel case, in the stack's settings.
        kind: what its value is: an integer, a Kubernetes quantity, one of `choices`, or a name.
        default: what applies when neither run, deployment, profile, code nor stack says anything.
        title: what Prefect's form shows.
        help: one sentence for forms, docs and the settings reference.
        minimum: the smallest value; in bytes for memory, None where the kind has no bound.
        choices: the values of a choice.

    """

    argument: str
    kind: Literal["integer", "cpu", "memory", "choice", "name"]
    default: int | str
    title: str
    help: str
    minimum: int | None = None
    choices: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The job variable, as prefect.yaml and `prefect deployment run --job-variable` write it."""
        return f"dask_{self.argument}"

    @property
    def type(self) -> Literal["integer", "string"]:
        """Its JSON schema type."""
        return "integer" if self.kind == "integer" else "string"

    @property
    def variable(self) -> str:
        """Environment variable in the flow pod with what the deployment or the run sets."""
        return PREFIX + self.argument.upper()

    @property
    def default_variable(self) -> str:
        """Environment variable in the flow pod with the stack's default."""
        return f"{PREFIX}DEFAULT_{self.argument.upper()}"

    @property
    def is_quantity(self) -> bool:
        return self.kind in ("cpu", "memory")

    def schema(self) -> dict[str, Any]:
        """Return its JSON schema, without title and description."""
        if self.is_quantity:
            return dict(SCHEMA)
        schema: dict[str, Any] = {"type": self.type}
        if self.kind == "integer" and self.minimum is not None:
            schema["minimum"] = self.minimum
        if self.choices:
            schema["enum"] = list(self.choices)
        return schema

    def check(self, value: object) -> None:
        """Accept a value of the right type and within the bounds.

        Raises:
            ValueError: what the value must be, as a clause that starts with "must be".

        """
        if self.is_quantity:
            value = text(value)
        if self.kind == "integer":
            if not isinstance(value, int) or isinstance(value, bool):
                raise ValueError(f"must be an integer, such as {self.default}")
            if self.minimum is not None and value < self.minimum:
                raise ValueError(f"must be at least {self.minimum}")
        elif self.kind == "choice":
            if value not in self.choices:
                raise ValueError(f"must be one of {', '.join(self.choices)}")
        elif not isinstance(value, str):
            raise ValueError(f"must be a string{f', such as {self.default}' if self.default else ''}")
        elif self.kind == "cpu":
            _check_quantity(cores, value, self)
        elif self.kind == "memory":
            _check_quantity(memory_bytes, value, self)
            if self.minimum is not None and memory_bytes(value) < self.minimum:
                raise ValueError(f"must be at least {self.minimum // 2**20}Mi: a Dask worker does not start with less")


def _check_quantity(read: Any, value: str, knob: Knob) -> None:
    try:
        read(value)
    except ValueError as error:
        raise ValueError(f"must be a Kubernetes quantity above zero, such as {knob.default} ({error})") from None


def order_error(minimum: int | None, maximum: int | None) -> str | None:
    """Return what is wrong with a maximum below its minimum, or None; an unset bound is never wrong."""
    if minimum is None or maximum is None or maximum >= minimum:
        return None
    return f"maximum is {maximum} and minimum is {minimum}: raise the maximum or lower the minimum"


PROFILE: Final = Knob(
    argument="profile",
    kind="name",
    default="",
    title="Dask profile",
    help="One of the stack's named sizes. Each of the variables below that is set takes precedence over it.",
)
MINIMUM: Final = Knob(
    argument="minimum",
    kind="integer",
    default=1,
    title="Dask minimum",
    help="Number of workers that the run's Dask cluster never goes below. With 0, an idle cluster keeps none.",
    minimum=0,
)
MAXIMUM: Final = Knob(
    argument="maximum",
    kind="integer",
    default=4,
    title="Dask maximum",
    help="Number of workers that the run's Dask cluster never goes above.",
    minimum=1,
)
WORKER_CPU: Final = Knob(
    argument="worker_cpu",
    kind="cpu",
    default="500m",
    title="Dask worker CPU",
    help="CPU request of one Dask worker as a Kubernetes quantity, such as 500m or 2.",
)
WORKER_MEMORY: Final = Knob(
    argument="worker_memory",
    kind="memory",
    default="1Gi",
    title="Dask worker memory",
    help="Memory request and limit of one Dask worker as a Kubernetes quantity, such as 2Gi.",
    minimum=SMALLEST_WORKER_MEMORY,
)
WORKER_THREADS: Final = Knob(
    argument="worker_threads",
    kind="integer",
    default=1,
    title="Dask worker threads",
    help="Number of tasks that one Dask worker runs at the same time.",
    minimum=1,
)
IDLE_TIMEOUT: Final = Knob(
    argument="idle_timeout",
    kind="integer",
    default=600,
    title="Dask idle timeout",
    help="Seconds without a task and without a heartbeat from its flow pod after which a Dask cluster is deleted.",
    minimum=60,
)
START_TIMEOUT: Final = Knob(
    argument="start_timeout",
    kind="integer",
    default=600,
    title="Dask start timeout",
    help="Seconds that the Dask cluster may take to start before the run fails with the cause.",
    minimum=10,
)
SCALING: Final = Knob(
    argument="scaling",
    kind="choice",
    default="fast",
    title="Dask scaling",
    help="fast adds a worker for nearly every waiting task, cheap adds one for a minute's work.",
    choices=("fast", "cheap"),
)
REPORT: Final = Knob(
    argument="report",
    kind="choice",
    default="none",
    title="Dask report",
    help="html writes Dask's performance report into the result storage when the run ends, which takes two seconds.",
    choices=("none", "html"),
)
RESTARTS: Final = Knob(
    argument="restarts",
    kind="integer",
    default=2,
    title="Dask restarts",
    help="How many times a run may start a new Dask cluster when it loses its own, before it ends Crashed.",
    minimum=0,
)

SIZES: Final = (
    MINIMUM,
    MAXIMUM,
    WORKER_CPU,
    WORKER_MEMORY,
    WORKER_THREADS,
    IDLE_TIMEOUT,
    START_TIMEOUT,
    SCALING,
    REPORT,
    RESTARTS,
)
"""The knobs that a profile may hold and that have a default of the stack."""

JOB_VARIABLES: Final = (PROFILE, *SIZES)
"""All knobs, in the order in which Prefect's form shows them."""
