"""The whole stack file, and the function that checks one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic.alias_generators import to_camel

from infra.settings.dask import Dask
from infra.settings.errors import SettingsError, invalid, sentences
from infra.settings.flow_run import FlowRun
from infra.settings.image import DockerBuild, Image
from infra.settings.isolation import Identities, Network, Quota
from infra.settings.monitoring import Monitoring
from infra.settings.objects import Adopted, Automation, ConcurrencyLimit, LimitName, Variable, VariableName
from infra.settings.pod_extras import CaBundle, PodExtras
from infra.settings.prefect import EmbeddedPrefect, Postgresql, Prefect
from infra.settings.prices import Prices
from infra.settings.results import NoResults, Results
from infra.settings.secrets import SECRETS
from infra.settings.types import MAX_LABEL, DnsLabel, Model, Switch
from infra.settings.work_pool import PoolName, WorkPool
from infra.settings.worker import Worker
from infra.specs.namespaces import Namespaces


def _parameter_schema(value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value is not None and not (
        isinstance(value.get("properties"), dict)
        and all(isinstance(each, dict) for each in value["properties"].values())
    ):
        raise ValueError("must have properties, a mapping of parameters: write `properties: {rows: {type: integer}}`")
    return value


class DeploymentOverride(Model):
    """What this stack changes in one deployment of prefect.yaml."""

    paused: bool | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    job_variables: dict[str, Any] = Field(default_factory=dict)
    parameter_schema: Annotated[dict[str, Any] | None, AfterValidator(_parameter_schema)] = Field(
        default=None, alias="schema"
    )
    """JSON schema of the flow's parameters, instead of the one that its source shows."""
    flow_name: Annotated[str, Field(min_length=1, pattern=r"^[^/%&<>]+$")] | None = None
    """The flow's name, where its source does not show it."""


class Drain(Model):
    """What happens to live runs when the stack is destroyed."""

    runs: Literal["wait", "cancel", "refuse"] = "cancel"
    """`cancel` cancels live runs, `wait` waits for them and cancels those that have not ended by the deadline, `refuse`
    stops the destroy with an error."""
    deadline: int = Field(default=300, ge=30)
    """Seconds until runs that are still live are cancelled, and until blocking finalizers are removed."""


class Settings(Model):
    """Everything that `Pulumi.<stack>.yaml` sets, apart from secrets."""

    namespace: DnsLabel = "flows"
    """Namespace of the platform: Prefect server, workers, Dask operator, reaper."""
    runs_namespace: Annotated[DnsLabel | None, BeforeValidator(lambda value: value or None)] = None
    """Namespace of runs, with their Dask clusters and results; `<namespace>-runs` when empty."""
    image: Image
    prefect: Prefect = EmbeddedPrefect()
    worker: Worker = Worker()
    work_pools: Mapping[PoolName, WorkPool] = Field(default_factory=lambda: {"dask": WorkPool()}, min_length=1)
    """By name. A deployment that names no pool gets the first."""
    pods: PodExtras = PodExtras()
    """Additions to every pod of every run: flow pods, Dask schedulers and Dask workers."""
    ca_bundle: Annotated[CaBundle | None, BeforeValidator(lambda value: value or None)] = None
    """CA certificates for a Prefect API or an object store with a private CA: in workers, flow pods and Dask pods."""
    flow_run: FlowRun = FlowRun()
    dask: Dask = Dask()
    results: Results = NoResults()
    network: Network = Network()
    quota: Annotated[Quota | None, BeforeValidator(lambda value: value or None)] = None
    """No quota when empty: Pulumi has no other way to leave out a key that has a type."""
    prices: Annotated[Prices | None, BeforeValidator(lambda value: value or None)] = None
    """What nodes cost, so that the summary of each run says what it cost; no costs when empty."""
    monitoring: Monitoring = Monitoring()
    identities: Identities = Identities()
    admission: Switch = True
    """Whether ValidatingAdmissionPolicies bound what runs create. They need Kubernetes 1.30."""
    drain: Drain = Drain()
    protect: Switch = False
    """Whether a destroy is refused while it would delete the database's volume, the results or a namespace."""
    strict: Switch = False
    """Whether each warning about prefect.yaml, such as a key that Prefect ignores, is an error."""
    deployments: dict[str, DeploymentOverride] = Field(default_factory=dict)
    """By `<flow>/<deployment>`, as Prefect names them."""
    variables: dict[VariableName, Variable] = Field(default_factory=dict)
    """Prefect variables by name."""
    concurrency_limits: dict[LimitName, ConcurrencyLimit] = Field(default_factory=dict)
    """Prefect's global concurrency limits by name."""
    automations: dict[str, Automation] = Field(default_factory=dict)
    """Prefect automations by name."""
    adopt: tuple[Adopted, ...] = Field(default=(), strict=False)
    """Objects without an owner on a Prefect server that is not this stack's own, which become this stack's:
    `<kind>/<name>`, such as `work-pool/dask` or `deployment/sales/*`."""

    @property
    def namespaces(self) -> Namespaces[str]:
        """The names of both namespaces."""
        return Namespaces(platform=self.namespace, runs=self.runs_namespace or f"{self.namespace}-runs")

    @model_validator(mode="after")
    def _namespaces_differ(self) -> Settings:
        runs = self.namespaces.runs
        if runs == self.namespace:
            message = (
                f"runsNamespace is '{runs}', which is the platform's namespace: runs could use the platform's Secrets"
                " and accounts; name another one, or remove the key"
            )
            raise ValueError(message)
        if len(runs) > MAX_LABEL:
            message = f"runsNamespace is empty, and '{runs}' has more than {MAX_LABEL} characters: set it"
            raise ValueError(message)
        return self

    @property
    def needs_password(self) -> tuple[str, ...]:
        """The keys because of which the stack's own Prefect server must ask for a password; empty without one."""
        prefect = self.prefect
        if not isinstance(prefect, EmbeddedPrefect):
            return ()
        keys = {
            "prefect.ingress": prefect.ingress is not None,
            "prefect.database.kind postgresql": isinstance(prefect.database, Postgresql),
            "network.prefectClients": bool(self.network.prefect_clients),
            "protect": self.protect,
        }
        return tuple(key for key, is_set in keys.items() if is_set)

    @model_validator(mode="after")
    def _a_server_for_others_has_a_password(self) -> Settings:
        if isinstance(self.prefect, EmbeddedPrefect) and self.prefect.auth == "none" and self.needs_password:
            message = (
                f"prefect.auth is none, and {self.needs_password[0]} is set: the server is for more than this cluster's"
                " developer, and everyone who reaches it could run code; remove prefect.auth and run"
                " `pulumi config set --secret prefectAuthString`, or name a Secret in prefect.authSecret"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _the_monitored_server_is_the_stacks_own(self) -> Settings:
        if self.monitoring.server_secret is not None and not isinstance(self.prefect, EmbeddedPrefect):
            message = (
                f"monitoring.serverSecret is set, and prefect.mode is {self.prefect.mode}: the server is not this"
                " stack's own; remove the key"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _images_exist(self) -> Settings:
        images = list(self.image.flows)
        for name, pool in self.work_pools.items():
            if pool.image is not None and pool.image not in images:
                declared = f"image.flows has {', '.join(images)}" if images else "image.flows is empty"
                message = f"workPools.{name}.image is '{pool.image}', and {declared}: add it there, or remove the key"
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _patches_are_of_one_kind_of_pod(self) -> Settings:
        for key, extras in self._shared_pods.items():
            if any(name in (extras.patch.get("spec") or {}) for name in ("containers", "initContainers")):
                message = (
                    f"{key}.patch: contains containers, whose names differ between the pods of a run: set it in"
                    " flowRun.pod.patch, dask.scheduler.patch or dask.workerPod.patch"
                )
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _flow_pods_have_no_placeholders(self) -> Settings:
        pools = self.work_pools.items()
        own = {f"workPools.{name}.flowRun.pod": pool.flow_run.pod for name, pool in pools if pool.flow_run}
        for key, extras in {**self._shared_pods, "flowRun.pod": self.flow_run.pod, **own}.items():
            # Prefect would look for a job variable of that name, and leave the field out. A patch may want that.
            if "{{" in json.dumps(extras.model_dump(mode="json", exclude={"patch"})):
                message = (
                    f"{key}: contains {{{{, which Prefect would take for the beginning of a placeholder: remove it"
                )
                raise ValueError(message)
        return self

    @property
    def _shared_pods(self) -> Mapping[str, PodExtras]:
        return {"pods": self.pods, **{f"workPools.{name}.pods": pool.pods for name, pool in self.work_pools.items()}}

    @model_validator(mode="after")
    def _build_secrets_have_unused_keys(self) -> Settings:
        secrets = self.image.build_secrets if isinstance(self.image, DockerBuild) else ()
        reserved = {*SECRETS, *(to_camel(name) for name in Settings.model_fields)}
        for name in secrets:
            if name in reserved:
                message = f"image.buildSecrets names '{name}', which is another setting: choose another name"
                raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _reports_have_a_store(self) -> Settings:
        reporting = [name for name, profile in self.dask.profiles.items() if profile.report == "html"]
        if isinstance(self.results, NoResults) and (self.dask.report == "html" or reporting):
            where = "dask.report" if self.dask.report == "html" else f"dask.profiles.{reporting[0]}.report"
            message = f"{where} is html, and results.store is none: set in `results` where reports are stored"
            raise ValueError(message)
        return self


def parse(values: Mapping[str, Any], *, stack: str) -> Settings:
    """Check the project's own configuration values; `validation.load_settings` also checks that the quota holds a run.

    Args:
        values: key without the project's prefix -> value, secrets left out.
        stack: the stack's name, for the error text.

    Raises:
        SettingsError: naming every wrong key at once.

    """
    try:
        return Settings.model_validate(dict(values), by_alias=True, by_name=False)
    except pydantic.ValidationError as error:
        raise SettingsError(invalid(stack, sentences(error.errors(), values, Settings))) from None
