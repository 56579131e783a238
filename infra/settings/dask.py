"""The Dask operator, and the sizes of Dask clusters: the stack's defaults, its bounds and its named profiles."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from ephemeral_dask.contract import knobs, profiles
from ephemeral_dask.contract.knobs import Knob
from infra.settings.pod import Pod
from infra.settings.pod_extras import PodExtras
from infra.settings.types import Bytes, Cpu, DnsLabel, Model, Url


def worker_memory(value: str) -> str:
    """Return a Dask worker's memory unchanged.

    Raises:
        ValueError: it is not a Kubernetes quantity, or too small for a worker to start.

    """
    knobs.WORKER_MEMORY.check(value)
    return value


def _with_cluster(value: str) -> str:
    if "{cluster}" not in value:
        raise ValueError("must contain {cluster}, which becomes the name of a run's Dask cluster")
    return value


WorkerMemory = Annotated[Bytes, AfterValidator(worker_memory)]
"""Memory of one Dask worker as a Kubernetes quantity."""
DashboardLink = Annotated[Url, AfterValidator(_with_cluster)]
"""Address of a proxy in front of dashboards, such as `https://dask.example.com/{namespace}/{cluster}/status`."""
Report = Literal["none", "html"]
"""Whether a run writes Dask's performance report: the choices of `knobs.REPORT`."""
Scaling = Literal["fast", "cheap"]
"""How eagerly workers are added: the choices of `knobs.SCALING`."""


def _field(knob: Knob, default: int | str | None) -> Any:
    """Return the pydantic field of a knob, with its bound and its help."""
    minimum = knob.minimum if knob.kind == "integer" else None
    return Field(default=default, ge=minimum, description=knob.help)


def _stack_default(knob: Knob) -> Any:
    return _field(knob, knob.default)


def _optional(knob: Knob) -> Any:
    return _field(knob, None)


class LargeWorkers(PodExtras):
    """A second worker group, for what a flow runs in `large_workers()`. It has workers only while it has work."""

    maximum: int = Field(ge=1)
    """Maximum number of large workers, in addition to the profile's own workers."""
    cpu: Cpu
    memory: WorkerMemory
    threads: int = Field(default=1, ge=1)
    """Number of large tasks that one of them runs at the same time."""

    def contract(self) -> profiles.LargeWorkers:
        """Return it in the form that flow pods read."""
        return profiles.LargeWorkers(
            maximum=self.maximum, cpu=self.cpu, memory=self.memory, threads=self.threads, pod=self.extras()
        )


class Scheduler(PodExtras):
    """The pod of a Dask scheduler. Its size grows with the maximum of workers where it is unset."""

    cpu: Cpu | None = None
    """CPU request; 100m for up to 16 workers, and 10m for each further one, up to one core."""
    memory: Bytes | None = None
    """Memory request and limit; a limit of 1Gi for up to 16 workers, and 32Mi for each further one, up to 16Gi."""

    def contract(self) -> profiles.Scheduler:
        """Return it in the form that flow pods read."""
        return profiles.Scheduler(cpu=self.cpu or "", memory=self.memory or "", pod=self.extras())


class StackScheduler(Scheduler):
    """The pods of all Dask schedulers of the stack. A profile's scheduler takes precedence."""

    disruption_budget: bool = False
    """Whether a drain of a node waits for the runs whose schedulers are on it."""


class DaskProfile(PodExtras):
    """A named size, with additions to its worker pods; scheduler and large workers get its environment and files too.

    For what is unset, the flow's code and then the stack's defaults apply.
    """

    minimum: int | None = _optional(knobs.MINIMUM)
    maximum: int | None = _optional(knobs.MAXIMUM)
    worker_cpu: Cpu | None = _optional(knobs.WORKER_CPU)
    worker_memory: WorkerMemory | None = _optional(knobs.WORKER_MEMORY)
    worker_threads: int | None = _optional(knobs.WORKER_THREADS)
    idle_timeout: int | None = _optional(knobs.IDLE_TIMEOUT)
    start_timeout: int | None = _optional(knobs.START_TIMEOUT)
    scaling: Scaling | None = _optional(knobs.SCALING)
    report: Report | None = _optional(knobs.REPORT)
    restarts: int | None = _optional(knobs.RESTARTS)
    nanny: bool = True
    """Whether a second process in each worker pod restarts a failed worker without a new pod. It takes 85 MiB."""
    scheduler: Scheduler = Scheduler()
    """The scheduler of its Dask clusters, where it differs from the stack's."""
    large_workers: LargeWorkers | None = None

    @model_validator(mode="after")
    def _ordered(self) -> DaskProfile:
        if error := knobs.order_error(self.minimum, self.maximum):
            raise ValueError(error)
        return self

    @property
    def workers(self) -> int:
        """The largest number of workers that it sets; 0 if it sets none."""
        return max(self.minimum or 0, self.maximum or 0)

    def contract(self) -> profiles.Profile:
        """Return it in the form that flow pods read."""
        sizes = {knob.argument: getattr(self, knob.argument) for knob in knobs.SIZES}
        return profiles.Profile(
            sizes={name: value for name, value in sizes.items() if value is not None},
            nanny=self.nanny,
            pod=self.extras(),
            scheduler=self.scheduler.contract(),
            large=self.large_workers.contract() if self.large_workers else None,
        )


class InstallOperator(Model):
    """An operator of the stack, which acts in the namespace of runs only."""

    mode: Literal["install"] = "install"
    pod: Pod = Pod()


class ExistingOperator(Model):
    """An operator that exists, with its CRDs, and watches the namespace of runs."""

    mode: Literal["existing"]
    namespace: DnsLabel
    """Namespace of the operator: the NetworkPolicies allow it to reach the schedulers."""


LARGEST_VARIABLE: Final = 120 * 1024
"""Bytes of an environment variable. Linux allows 128 KiB for its name and its value (MAX_ARG_STRLEN)."""


class Dask(Model):
    """Defaults and bounds of each run's Dask cluster."""

    operator: InstallOperator | ExistingOperator = Field(default=InstallOperator(), discriminator="mode")
    minimum: int = _stack_default(knobs.MINIMUM)
    maximum: int = _stack_default(knobs.MAXIMUM)
    ceiling: int = Field(default=16, ge=1)
    """The most workers that any run gets, whatever its deployment or code sets."""
    worker_cpu: Cpu = _stack_default(knobs.WORKER_CPU)
    worker_memory: WorkerMemory = _stack_default(knobs.WORKER_MEMORY)
    worker_threads: int = _stack_default(knobs.WORKER_THREADS)
    idle_timeout: int = _stack_default(knobs.IDLE_TIMEOUT)
    start_timeout: int = _stack_default(knobs.START_TIMEOUT)
    maximum_lifetime: int = Field(default=7 * 24 * 3600, ge=600)
    """Seconds after which a Dask cluster is deleted, even if its run is live."""
    dashboard: DashboardLink | None = None
    """Address of a run's Dask dashboard in a browser, with {cluster} and {namespace} in it; by default that of
    `make dashboard`."""
    scaling: Scaling = _stack_default(knobs.SCALING)
    report: Report = _stack_default(knobs.REPORT)
    restarts: int = _stack_default(knobs.RESTARTS)
    tls: bool = True
    """Whether the connections of each Dask cluster are encrypted, with certificates of its own that no other run has. A
    run outside Kubernetes has none."""
    scheduler: StackScheduler = StackScheduler()
    worker_pod: PodExtras = PodExtras()
    """Additions to the pods of workers. Large workers get only those of the profile."""
    profiles: dict[DnsLabel, DaskProfile] = Field(default_factory=dict)
    """Named sizes, selected with `dask_profile` by a run, a deployment or the flow's code."""

    @model_validator(mode="after")
    def _profiles_fit_into_a_variable(self) -> Dask:
        size = len(profiles.encode({name: each.contract() for name, each in self.profiles.items()}).encode())
        if size > LARGEST_VARIABLE:
            message = (
                f"profiles take {size // 1024} KiB in an environment variable of flow pods, and Linux starts no process"
                f" with one above {LARGEST_VARIABLE // 1024} KiB: remove profiles, or shorten their env and patches"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Dask:
        if error := knobs.order_error(self.minimum, self.maximum):
            raise ValueError(error)
        if self.ceiling < self.maximum:
            message = f"ceiling is {self.ceiling} and maximum is {self.maximum}: raise the ceiling or lower the maximum"
            raise ValueError(message)
        for name, profile in self.profiles.items():
            if profile.workers > self.ceiling:
                message = (
                    f"ceiling is {self.ceiling} and profile '{name}' asks for {profile.workers} workers: raise the"
                    " ceiling or lower the profile"
                )
                raise ValueError(message)
        return self
