"""The stack's settings: what `Pulumi.<stack>.yaml` may say, checked before the first resource."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator
from pydantic.alias_generators import to_camel

from infra import capacity
from infra.dask_profile import DashboardLink, DaskProfile, Report, Scaling, Toleration, WorkerMemory
from infra.model import Bytes, Cpu, DnsLabel, Model
from infra.settings.base import SecretKey, Switch
from infra.settings.errors import SettingsError, no_place_for_a_secret, sentence
from infra.settings.image import Docker, DockerBuild, FlowBuild, Image, Prebuilt
from infra.settings.isolation import Identities, Identity, Network, Peer, Quota
from infra.settings.objects import (
    Automation,
    ConcurrencyLimit,
    LimitName,
    PrefectName,
    Variable,
    VariableName,
    WorkQueue,
    unique_priorities,
)
from infra.settings.pod import Pod
from infra.settings.prefect import (
    CloudPrefect,
    EmbeddedPrefect,
    Ingress,
    Postgresql,
    Prefect,
    Redis,
    ServerPrefect,
    Sqlite,
)
from infra.settings.results import BlockResults, NoResults, Results, VolumeResults
from infra.settings.secrets import SECRETS, secret_keys

__all__ = [
    "SECRETS",
    "BlockResults",
    "CloudPrefect",
    "Dask",
    "DeploymentOverride",
    "Docker",
    "DockerBuild",
    "Drain",
    "EmbeddedPrefect",
    "ExistingOperator",
    "FlowBuild",
    "FlowRun",
    "Identities",
    "Identity",
    "Ingress",
    "InstallOperator",
    "Network",
    "NoResults",
    "Peer",
    "Pod",
    "Postgresql",
    "Prebuilt",
    "Prefect",
    "Quota",
    "Redis",
    "Results",
    "SecretKey",
    "ServerPrefect",
    "Settings",
    "SettingsError",
    "Sqlite",
    "Toleration",
    "VolumeResults",
    "WorkPool",
    "Worker",
    "no_place_for_a_secret",
    "parse",
    "secret_keys",
]

_POOL = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


class Worker(Model):
    """The Prefect worker of a work pool."""

    replicas: int = Field(default=1, ge=1)
    poll_seconds: int = Field(default=2, ge=1)
    """Seconds between two looks at the work pool: what a run waits at worst before its Job is made."""
    limit: int | None = Field(default=None, ge=1)
    """Runs that one worker process starts at the same time."""
    pod: Pod = Pod()


class FlowPod(Model):
    """Where flow pods run, and how they are marked."""

    node_selector: Mapping[str, str] = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = Field(default=(), strict=False)
    priority_class: str | None = None
    annotations: Mapping[str, str] = Field(default_factory=dict)
    """Such as one that tells a cluster's autoscaler not to move the pod."""


class FlowRun(Model):
    """The pod in which a flow's own code runs; each value is the default of a job variable."""

    cpu_request: Cpu = "250m"
    memory_request: Bytes = "512Mi"
    memory_limit: Bytes = "1Gi"
    finished_job_ttl: int = Field(default=60, ge=0)
    """Seconds that an ended Job is kept; with it goes whatever is left of its Dask cluster."""
    grace_seconds: int = Field(default=90, ge=30)
    """Seconds between SIGTERM and SIGKILL: Prefect alone takes up to 30 to end a run in order."""
    active_deadline: int | None = Field(default=None, ge=60)
    """Seconds after which Kubernetes ends a run, come what may."""
    heartbeat_seconds: int = Field(default=60, ge=30)
    """Seconds between two signs of life of a run."""
    crashed_after: int | None = Field(default=300, ge=90)
    """Seconds without a sign of life after which Prefect takes a run for Crashed; null leaves it Running for ever."""
    pod: FlowPod = FlowPod()

    @model_validator(mode="after")
    def _patient(self) -> FlowRun:
        if self.crashed_after is not None and self.crashed_after < 3 * self.heartbeat_seconds:
            message = (
                f"crashedAfter is {self.crashed_after} and heartbeatSeconds {self.heartbeat_seconds}: a sign of life"
                f" may come late or be lost, so crashedAfter must be at least {3 * self.heartbeat_seconds}"
            )
            raise ValueError(message)
        return self


class WorkPool(Model):
    """A Prefect work pool, with a worker of its own."""

    image: DnsLabel | None = None
    """Name of the flow image that its runs use; the stack's `flow` when unset."""
    concurrency_limit: int | None = Field(default=None, ge=1)
    """Runs of the pool that may be under way at the same time; derived from the quota when unset."""
    worker: Worker | None = None
    """Its worker, where that differs from the stack's."""
    flow_run: FlowRun | None = None
    """Its flow pods, where they differ from the stack's."""
    work_queues: Annotated[dict[PrefectName, WorkQueue], AfterValidator(unique_priorities)] = Field(
        default_factory=dict
    )
    """Its queues by name; one that a deployment names and that is not here has Prefect's defaults."""


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


class DeploymentOverride(Model):
    """What this stack changes of one deployment in prefect.yaml."""

    paused: bool | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    job_variables: dict[str, Any] = Field(default_factory=dict)


class Drain(Model):
    """What happens to live runs when the stack is destroyed."""

    runs: Literal["wait", "cancel", "refuse"] = "cancel"
    """`refuse` ends the destroy with an error, `wait` lets them end and cancels those that do not."""
    deadline: int = Field(default=300, ge=30)
    """Seconds until what has not ended is ended, and until what holds on is let go."""


class Settings(Model):
    """Everything that `Pulumi.<stack>.yaml` says, secrets apart."""

    namespace: DnsLabel = "flows"
    image: Image
    prefect: Prefect = EmbeddedPrefect()
    worker: Worker = Worker()
    work_pools: Mapping[str, WorkPool] = Field(default_factory=lambda: {"dask": WorkPool()}, min_length=1)
    """Keyed by name. A deployment that names none gets the first."""
    flow_run: FlowRun = FlowRun()
    dask: Dask = Dask()
    results: Results = NoResults()
    network: Network = Network()
    quota: Annotated[Quota | None, BeforeValidator(lambda value: value or None)] = None
    """Empty is none: Pulumi has no other way to leave a typed key out."""
    identities: Identities = Identities()
    drain: Drain = Drain()
    protect: Switch = False
    """Whether a destroy refuses while the database's volume or the namespace would go."""
    deployments: dict[str, DeploymentOverride] = Field(default_factory=dict)
    """Keyed `<flow>/<deployment>`, as Prefect names them."""
    variables: dict[VariableName, Variable] = Field(default_factory=dict)
    """Prefect variables by name."""
    concurrency_limits: dict[LimitName, ConcurrencyLimit] = Field(default_factory=dict)
    """Prefect's global concurrency limits by name."""
    automations: dict[str, Automation] = Field(default_factory=dict)
    """Prefect automations by name."""

    @field_validator("work_pools")
    @classmethod
    def _names(cls, pools: Mapping[str, WorkPool]) -> Mapping[str, WorkPool]:
        for name in pools:
            if name.lower().startswith("prefect"):
                message = f"name '{name}' is reserved by Prefect: choose one that does not start with 'prefect'"
                raise ValueError(message)
            if not _POOL.fullmatch(name):
                message = (
                    f"name '{name}': use up to 40 lower-case letters, digits and dashes; its worker is named after it"
                )
                raise ValueError(message)
        return pools

    @model_validator(mode="after")
    def _images_exist(self) -> Settings:
        known = list(self.image.flows)
        for name, pool in self.work_pools.items():
            if pool.image is not None and pool.image not in known:
                there = f"image.flows has {', '.join(known)}" if known else "image.flows has none"
                message = (
                    f"workPools.{name}.image is '{pool.image}', and {there}: declare it there, or leave the key out"
                )
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _build_secrets_are_keys_of_their_own(self) -> Settings:
        named = self.image.build_secrets if isinstance(self.image, DockerBuild) else ()
        taken = {*SECRETS, *(to_camel(name) for name in Settings.model_fields)}
        for name in named:
            if name in taken:
                message = f"image.buildSecrets names '{name}', a key that means something else: choose another name"
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _report_has_a_place(self) -> Settings:
        asking = [name for name, profile in self.dask.profiles.items() if profile.report == "html"]
        if isinstance(self.results, NoResults) and (self.dask.report == "html" or asking):
            where = "dask.report" if self.dask.report == "html" else f"dask.profiles.{asking[0]}.report"
            message = f"{where} is html, and results.store is none: say in `results` where reports are kept"
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _quota_holds_a_run(self) -> Settings:
        if message := capacity.complaint(self):
            raise ValueError(message)
        return self


def parse(values: Mapping[str, Any], *, stack: str) -> Settings:
    """Check the project's own configuration values.

    Args:
        values: key without the project's prefix -> value, secrets left out.
        stack: the stack's name, for the error text.

    Raises:
        SettingsError: naming every wrong key at once.

    """
    try:
        return Settings.model_validate(dict(values), by_alias=True, by_name=False)
    except pydantic.ValidationError as error:
        lines = dict.fromkeys(sentence(problem, values, Settings) for problem in error.errors())
        head = f"Pulumi.{stack}.yaml is not valid, so nothing was changed:"
        raise SettingsError("\n".join([head, *(f"  {line}" for line in lines)])) from None
