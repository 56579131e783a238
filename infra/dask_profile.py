"""Named sizes of Dask clusters in a stack's settings, and their comparison with what deployments ask for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from ephemeral_dask.contract import knobs, profiles, quantities
from infra.model import Bytes, Cpu, Model, Url
from infra.specs.deployment import DeploymentSpec


def _worker_memory(value: str) -> str:
    if quantities.memory_bytes(value) < quantities.SMALLEST_WORKER_MEMORY:
        least = quantities.SMALLEST_WORKER_MEMORY // 2**20
        raise ValueError(f"'{value}' is too little for a Dask worker to start: write {least}Mi or more")
    return value


def _with_cluster(value: str) -> str:
    if "{cluster}" not in value:
        raise ValueError("the address is the same for every run: write {cluster} where the cluster's name belongs")
    return value


WorkerMemory = Annotated[Bytes, AfterValidator(_worker_memory)]
"""Memory of one Dask worker as a Kubernetes quantity."""
DashboardLink = Annotated[Url, AfterValidator(_with_cluster)]
"""Address of a proxy in front of dashboards, such as `https://dask.example.com/{namespace}/{cluster}/status`."""
Report = Literal["none", "html"]
"""Whether a run writes Dask's performance report."""
Scaling = Literal["fast", "cheap"]
"""How eagerly workers are added."""

_CREDENTIALS = ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING")


class Toleration(Model):
    """A taint that worker pods put up with, in the words of Kubernetes."""

    key: str | None = None
    operator: Literal["Exists", "Equal"] = "Equal"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = Field(default=None, ge=0)

    def manifest(self) -> dict[str, Any]:
        """Return it as Kubernetes writes it."""
        return self.model_dump(by_alias=True, exclude_none=True)


class LargeWorkers(Model):
    """A second worker group for what a flow asks `large_workers()` for. It starts empty and ends so when idle."""

    maximum: int = Field(ge=1)
    """Workers at most, beside the profile's own."""
    cpu: Cpu
    memory: WorkerMemory
    threads: int = Field(default=1, ge=1)
    """Large tasks that one of them runs at the same time."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment of these workers, beside the profile's. No secrets."""
    tolerations: list[Toleration] = Field(default_factory=list)
    node_selector: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _without_credentials(self) -> LargeWorkers:
        _refuse_credentials(self.env)
        return self

    def contract(self) -> profiles.LargeWorkers:
        """Return it as flow pods read it."""
        return profiles.LargeWorkers(
            maximum=self.maximum,
            cpu=self.cpu,
            memory=self.memory,
            threads=self.threads,
            env=self.env,
            tolerations=tuple(one.manifest() for one in self.tolerations),
            node_selector=self.node_selector,
        )


class DaskProfile(Model):
    """A named size; what is unset is left to the flow's code and the stack's defaults."""

    minimum: int | None = Field(default=None, ge=0)
    maximum: int | None = Field(default=None, ge=1)
    worker_cpu: Cpu | None = None
    worker_memory: WorkerMemory | None = None
    worker_threads: int | None = Field(default=None, ge=1)
    idle_timeout: int | None = Field(default=None, ge=60)
    start_timeout: int | None = Field(default=None, ge=10)
    scaling: Scaling | None = None
    report: Report | None = None
    nanny: bool = True
    """Whether a second process in each worker pod watches the worker: 85 MiB, and a restart without a new pod."""
    env: dict[str, str] = Field(default_factory=dict)
    """Environment of the workers. No secrets: everyone who may read the work pool sees them."""
    tolerations: list[Toleration] = Field(default_factory=list)
    node_selector: dict[str, str] = Field(default_factory=dict)
    large_workers: LargeWorkers | None = None

    @model_validator(mode="after")
    def _usable(self) -> DaskProfile:
        if self.minimum and self.maximum and self.maximum < self.minimum:
            message = f"maximum is {self.maximum} and minimum {self.minimum}: maximum must be at least minimum"
            raise ValueError(message)
        _refuse_credentials(self.env)
        return self

    @property
    def workers(self) -> int:
        """The most workers that it asks for; 0 when it leaves that to others."""
        return max(self.minimum or 0, self.maximum or 0)

    def contract(self) -> profiles.Profile:
        """Return it as flow pods read it."""
        sizes = {variable.argument: getattr(self, variable.argument) for variable in knobs.SIZES}
        return profiles.Profile(
            sizes={name: value for name, value in sizes.items() if value is not None},
            nanny=self.nanny,
            env=self.env,
            tolerations=tuple(one.manifest() for one in self.tolerations),
            node_selector=self.node_selector,
            large=self.large_workers.contract() if self.large_workers else None,
        )


def _refuse_credentials(env: Mapping[str, str]) -> None:
    for name in _CREDENTIALS:
        if name in env:
            message = f"env has {name}, a credential: workers get it by reference already, remove it here"
            raise ValueError(message)


def complaints(specs: Iterable[DeploymentSpec], known: Mapping[str, DaskProfile]) -> list[str]:
    """Return a sentence for every Dask size that a deployment asks for and no run could have.

    The work pool's schema knows types and bounds only; this knows what they mean.
    """
    return [problem for spec in specs for problem in _of(spec, known)]


def _of(spec: DeploymentSpec, known: Mapping[str, DaskProfile]) -> Iterable[str]:
    asked: Mapping[str, Any] = spec.job_variables
    where = f"deployment '{spec.key}'"
    name = asked.get(knobs.PROFILE.name)
    if isinstance(name, str) and name not in known and "{{" not in name:
        yield profiles.unknown(name, known, where)
    low, high = asked.get(knobs.MINIMUM.name), asked.get(knobs.MAXIMUM.name)
    if isinstance(low, int) and isinstance(high, int) and high < low:
        yield f"{where}: dask_maximum is {high} and dask_minimum {low}: raise the maximum or lower the minimum."
    for variable, check in ((knobs.WORKER_CPU, quantities.cores), (knobs.WORKER_MEMORY, _worker_memory)):
        value = asked.get(variable.name)
        if isinstance(value, str) and "{{" not in value:
            try:
                check(value)
            except ValueError as error:
                yield f"{where}: {variable.name}: {error}."
