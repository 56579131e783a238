"""The Dask operator, and the sizes of Dask clusters: the stack's defaults, its bounds and its named profiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from ephemeral_dask.contract import knobs, profiles, secrets
from ephemeral_dask.contract.knobs import Knob
from infra.settings.pod import Pod, Toleration
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


class LargeWorkers(Model):
    """A second worker group, for what a flow runs in `large_workers()`. It has workers only while it has work."""

    maximum: int = Field(ge=1)
    """Maximum number of large workers, in addition to the profile's own workers."""
    cpu: Cpu
    memory: WorkerMemory
    threads: int = Field(default=1, ge=1)
    """Number of large tasks that one of them runs at the same time."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables of these workers, in addition to the profile's. No secrets."""
    tolerations: list[Toleration] = Field(default_factory=list)
    node_selector: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _without_credentials(self) -> LargeWorkers:
        _refuse_credentials(self.env)
        return self

    def contract(self) -> profiles.LargeWorkers:
        """Return it in the form that flow pods read."""
        return profiles.LargeWorkers(
            maximum=self.maximum,
            cpu=self.cpu,
            memory=self.memory,
            threads=self.threads,
            env=self.env,
            tolerations=tuple(each.manifest() for each in self.tolerations),
            node_selector=self.node_selector,
        )


class DaskProfile(Model):
    """A named size. For what is unset, the flow's code and then the stack's defaults apply."""

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
    env: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the workers. No secrets: everyone with access to the work pool can read them."""
    tolerations: list[Toleration] = Field(default_factory=list)
    node_selector: dict[str, str] = Field(default_factory=dict)
    large_workers: LargeWorkers | None = None

    @model_validator(mode="after")
    def _consistent(self) -> DaskProfile:
        if error := knobs.order_error(self.minimum, self.maximum):
            raise ValueError(error)
        _refuse_credentials(self.env)
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
            env=self.env,
            tolerations=tuple(each.manifest() for each in self.tolerations),
            node_selector=self.node_selector,
            large=self.large_workers.contract() if self.large_workers else None,
        )


def _refuse_credentials(env: Mapping[str, str]) -> None:
    for name in secrets.CREDENTIALS:
        if name in env:
            message = f"env contains {name}, a credential: remove it, workers get it from a Kubernetes Secret"
            raise ValueError(message)


class InstallOperator(Model):
    """An operator of the stack, limited to its namespace."""

    mode: Literal["install"] = "install"
    pod: Pod = Pod()


class ExistingOperator(Model):
    """An operator that exists, with its CRDs, and watches the stack's namespace."""

    mode: Literal["existing"]
    namespace: DnsLabel
    """Namespace of the operator: the NetworkPolicies allow it to reach the schedulers."""


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
    profiles: dict[DnsLabel, DaskProfile] = Field(default_factory=dict)
    """Named sizes, selected with `dask_profile` by a run, a deployment or the flow's code."""

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
