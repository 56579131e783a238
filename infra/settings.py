"""The stack's settings: what `Pulumi.<stack>.yaml` may say, checked before the first resource."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, Field, model_validator
from pydantic.alias_generators import to_camel

from infra.dask_profile import DaskProfile, Scaling, Toleration, WorkerMemory
from infra.model import Bytes, Cpu, DnsLabel, Model, Url
from infra.naming import PROJECT


class SettingsError(Exception):
    """The stack file is wrong. Its text names the file, every wrong key, the reason and the cure."""


def _image(value: str) -> str:
    if "@sha256:" not in value and ":" not in value.rpartition("/")[2]:
        message = f"'{value}' has neither tag nor digest, so what runs could change unseen: add @sha256:... or a tag"
        raise ValueError(message)
    return value


ImageReference = Annotated[str, AfterValidator(_image)]


class DockerBuild(Model):
    """Build and push with BuildKit, through the docker-build provider."""

    builder: Literal["docker-build"] = "docker-build"
    registry: str
    """Where images are pushed: host and, if wanted, path, such as `registry.example.com/data/workflows`."""
    base: ImageReference = "python:3.11-slim-bookworm"
    """Image with Python 3.11 on which both targets are built."""
    buildx: str | None = None
    """Name of the buildx builder; the current one when unset."""
    ca_bundle: str | None = None
    """File with the CA certificates that the build must trust; none on an ordinary network."""


class Docker(Model):
    """Build and push with pulumi-docker's `docker.Image`, for teams that stay on it."""

    builder: Literal["docker"]
    registry: str
    base: ImageReference = "python:3.11-slim-bookworm"


class Prebuilt(Model):
    """Images that another pipeline has pushed."""

    builder: Literal["prebuilt"]
    flow: ImageReference
    platform: ImageReference


Image = Annotated[DockerBuild | Docker | Prebuilt, Field(discriminator="builder")]


class EmbeddedPrefect(Model):
    """A Prefect server in the stack's namespace, SQLite on a persistent volume."""

    mode: Literal["embedded"] = "embedded"
    storage: Bytes = "1Gi"
    """Size of the volume that holds the database."""
    storage_class: str | None = None
    """StorageClass of that volume; the cluster's default when unset."""
    ui_url: Url = "http://127.0.0.1:4200"
    """Address of the UI as the browser sees it; the default is that of `make ui`."""


class SecretKey(Model):
    """One key of a Kubernetes Secret that exists in the stack's namespace."""

    name: DnsLabel
    key: str


class ServerPrefect(Model):
    """A self-hosted Prefect server that someone else runs."""

    mode: Literal["server"]
    api_url: Url
    """The API as the machine running Pulumi sees it."""
    pod_api_url: Url | None = None
    """The API as a pod sees it, where that differs."""
    ui_url: Url | None = None
    """The UI as a browser sees it; by default the API's address without `/api`."""
    auth_secret: SecretKey | None = None
    """Existing Secret with the basic-auth string; otherwise `prefectAuthString` is used when it is set."""


class CloudPrefect(Model):
    """Prefect Cloud."""

    mode: Literal["cloud"]
    api_url: Url
    """The workspace's API address, with account and workspace in it."""
    ui_url: Url = "https://app.prefect.cloud"
    key_secret: SecretKey | None = None
    """Existing Secret with the API key; otherwise `prefectApiKey` is used, and must be set."""


Prefect = Annotated[EmbeddedPrefect | ServerPrefect | CloudPrefect, Field(discriminator="mode")]


class Worker(Model):
    """The Prefect worker."""

    replicas: int = Field(default=1, ge=1)
    poll_seconds: int = Field(default=2, ge=1)
    """Seconds between two looks at the work pool: what a run waits at worst before its Job is made."""
    limit: int | None = Field(default=None, ge=1)
    """Runs that one worker process starts at the same time."""


class WorkPool(Model):
    """The Prefect work pool."""

    name: str = "dask"
    concurrency_limit: int | None = Field(default=None, ge=1)
    """Runs of the pool that may be under way at the same time."""

    @model_validator(mode="after")
    def _not_reserved(self) -> WorkPool:
        if self.name.lower().startswith("prefect"):
            message = f"name '{self.name}' is reserved by Prefect: choose one that does not start with 'prefect'"
            raise ValueError(message)
        return self


class FlowRun(Model):
    """The pod in which a flow's own code runs; each value is the default of a job variable."""

    cpu_request: Cpu = "250m"
    memory_request: Bytes = "512Mi"
    memory_limit: Bytes = "1Gi"
    finished_job_ttl: int = Field(default=60, ge=0)
    """Seconds that an ended Job is kept; with it goes whatever is left of its Dask cluster."""
    grace_seconds: int = Field(default=90, ge=30)
    """Seconds between SIGTERM and SIGKILL: Prefect alone takes up to 30 to end a run in order."""


class Dask(Model):
    """The stack's defaults and bounds for each run's Dask cluster."""

    operator: Literal["install", "existing"] = "install"
    minimum: int = Field(default=1, ge=1)
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
    scaling: Scaling = "fast"
    """How eagerly workers are added: for nearly every waiting task, or for a minute's work each."""
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


class Settings(Model):
    """Everything that `Pulumi.<stack>.yaml` says, secrets apart."""

    namespace: DnsLabel = "flows"
    image: Image
    prefect: Prefect = EmbeddedPrefect()
    worker: Worker = Worker()
    work_pool: WorkPool = WorkPool()
    flow_run: FlowRun = FlowRun()
    dask: Dask = Dask()
    deployments: dict[str, DeploymentOverride] = Field(default_factory=dict)
    """Keyed `<flow>/<deployment>`, as Prefect names them."""


SECRETS = ("prefectApiKey", "prefectAuthString")
"""Keys that hold a secret: set with `pulumi config set --secret`, never part of `Settings`."""


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
        lines = [_sentence(problem, values) for problem in error.errors()]
        head = f"Pulumi.{stack}.yaml is not valid, so nothing was changed:"
        raise SettingsError("\n".join([head, *(f"  {line}" for line in lines)])) from None


def _sentence(problem: Any, values: Mapping[str, Any]) -> str:
    path = [str(part) for part in problem["loc"]]
    key = f"{PROJECT}:" + ".".join(_without_arms(path, values))
    kind = problem["type"]
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], _known(path[:-1]), n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known here: {', '.join(_known(path[:-1]))}"
        return f"{key}: there is no such key; {hint}"
    if kind == "missing":
        return f"{key}: is missing; set it with `pulumi config set --path '{key}' VALUE`"
    if kind == "union_tag_not_found":
        return f"{key}: needs the key {problem['ctx']['discriminator']} to say which kind it is"
    if kind == "union_tag_invalid":
        context = problem["ctx"]
        discriminator = context["discriminator"].strip("'")
        return f"{key}: {discriminator} is '{context['tag']}'; use one of {context['expected_tags']}"
    return f"{key}: {problem['msg'].removeprefix('Value error, ')}"


_ARMS = {"docker-build", "docker", "prebuilt", "embedded", "server", "cloud"}


def _without_arms(path: list[str], values: Mapping[str, Any]) -> list[str]:
    """Pydantic puts a union's arm into the path; the person never wrote it there."""
    kept: list[str] = []
    here: Any = values
    for part in path:
        if part in _ARMS and not (isinstance(here, Mapping) and part in here):
            continue
        kept.append(part)
        here = here.get(part) if isinstance(here, Mapping) else None
    return kept


_SECTIONS: Mapping[str, type[Model]] = {
    "docker-build": DockerBuild,
    "docker": Docker,
    "prebuilt": Prebuilt,
    "embedded": EmbeddedPrefect,
    "server": ServerPrefect,
    "cloud": CloudPrefect,
    "worker": Worker,
    "workPool": WorkPool,
    "flowRun": FlowRun,
    "dask": Dask,
    "profiles": DaskProfile,
    "tolerations": Toleration,
    "deployments": DeploymentOverride,
    "authSecret": SecretKey,
    "keySecret": SecretKey,
}


def _known(path: list[str]) -> list[str]:
    section: type[Model] = Settings
    for part in path:
        section = _SECTIONS.get(part, section)
    return [to_camel(name) for name in section.model_fields]
