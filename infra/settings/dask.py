"""The Dask operator, and the sizes of Dask clusters: the stack's defaults, its bounds and its named profiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import profiles, quantities
from infra.settings.pod import Pod, Toleration
from infra.settings.types import Bytes, Cpu, DnsLabel, Model, Url


def worker_memory(value: str) -> str:
    if quantities.memory_bytes(value) < quantities.SMALLEST_WORKER_MEMORY:
        least = quantities.SMALLEST_WORKER_MEMORY // 2**20
        raise ValueError(f"'{value}' is too little for a Dask worker to start: write {least}Mi or more")
    return value


def _with_cluster(value: str) -> str:
    if "{cluster}" not in value:
        raise ValueError("the address is the same for every run: write {cluster} where the cluster's name belongs")
    return value


WorkerMemory = Annotated[Bytes, AfterValidator(worker_memory)]
"""Memory of one Dask worker as a Kubernetes quantity."""
DashboardLink = Annotated[Url, AfterValidator(_with_cluster)]
"""Address of a proxy in front of dashboards, such as `https://dask.example.com/{namespace}/{cluster}/status`."""
Report = Literal["none", "html"]
"""Whether a run writes Dask's performance report."""
Scaling = Literal["fast", "cheap"]
"""How eagerly workers are added."""

_CREDENTIALS = ("PREFECT_API_KEY", "PREFECT_API_AUTH_STRING")


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
        sizes = {variable.argument: getattr(self, variable.argument) for variable in env.SIZES}
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


class InstallOperator(Model):
    """An operator of the stack's own, acting in its namespace only."""

    mode: Literal["install"] = "install"
    pod: Pod = Pod()


class ExistingOperator(Model):
    """An operator that acts on the stack's namespace already, with its definitions (CRDs)."""

    mode: Literal["existing"]
    namespace: DnsLabel
    """Where the operator runs: the NetworkPolicies let it reach the schedulers."""


class Dask(Model):
    """The stack's defaults and bounds for each run's Dask cluster."""

    operator: InstallOperator | ExistingOperator = Field(default=InstallOperator(), discriminator="mode")
    minimum: int = Field(default=1, ge=0)
    """Workers that a Dask cluster keeps while it has no work. With 0 it keeps none, after one that it starts with."""
    maximum: int = Field(default=4, ge=1)
    ceiling: int = Field(default=16, ge=1)
    """No run gets more workers, whatever its deployment or trigger asks."""
    worker_cpu: Cpu = "500m"
    worker_memory: WorkerMemory = "1Gi"
    worker_threads: int = Field(default=1, ge=1)
    idle_timeout: int = Field(default=600, ge=60)
    """Seconds without a task after which a Dask cluster ends itself."""
    start_timeout: int = Field(default=600, ge=10)
    """Seconds that a Dask cluster may take to start."""
    maximum_lifetime: int = Field(default=7 * 24 * 3600, ge=600)
    """Seconds after which a Dask cluster is ended whatever its run is doing."""
    dashboard: DashboardLink | None = None
    """A run's dashboard as browsers see it, {cluster} and {namespace} filled in; unset, that of `make dashboard`."""
    scaling: Scaling = "fast"
    """How eagerly workers are added: for nearly every waiting task, or for a minute's work each."""
    report: Report = "none"
    """Whether runs write Dask's performance report into the result storage."""
    profiles: dict[DnsLabel, DaskProfile] = Field(default_factory=dict)
    """Named sizes, chosen by `dask_profile` per run or deployment, or in code."""

    @model_validator(mode="after")
    def _ordered(self) -> Dask:
        if self.maximum < self.minimum:
            message = f"maximum is {self.maximum} and minimum {self.minimum}: maximum must be at least minimum"
            raise ValueError(message)
        if self.ceiling < self.maximum:
            message = f"ceiling is {self.ceiling} and maximum {self.maximum}: ceiling must be at least maximum"
            raise ValueError(message)
        for name, profile in self.profiles.items():
            if profile.workers > self.ceiling:
                message = (
                    f"ceiling is {self.ceiling} and profile '{name}' asks for {profile.workers} workers: raise the "
                    "ceiling or lower the profile"
                )
                raise ValueError(message)
        return self
