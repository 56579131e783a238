"""The deployment: a flow with its parameters, schedules, limits and work pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi import Input, Output
from pulumi.dynamic import Resource

from infra.registration import backlog, schedules
from infra.registration.api import DEADLINE, PrefectApi, path
from infra.registration.encoding import encode
from infra.registration.endpoint import ApiEndpoint, to_props
from infra.registration.errors import RegistrationError, log
from infra.registration.parameter_validation import conforms
from infra.registration.provider import OWNER, OWNER_MARK, REACH, Fields, PrefectProvider, owner, stack_of
from infra.specs.deployment import DeploymentSpec

_SENT_AS: Final = {
    "description": "description",
    "version": "version",
    "entrypoint": "entrypoint",
    "tags": "tags",
    "parameters": "parameters",
    "parameter_schema": "parameter_openapi_schema",
    "enforce_parameter_schema": "enforce_parameter_schema",
    "concurrency_limit": "concurrency_limit",
    "paused": "paused",
    "work_pool_name": "work_pool_name",
    "work_queue_name": "work_queue_name",
    "job_variables": "job_variables",
    "pull_steps": "pull_steps",
}
"""Field -> its name in Prefect's API, without schedules and concurrency options."""

_ENFORCE: Final = "enforce_parameter_schema"

_UNMANAGED: Final = ("version", "paused")
"""Fields that are neither compared nor written unless they are declared."""


@dataclass(frozen=True, kw_only=True)
class DeploymentArgs:
    """A deployment.

    Attributes:
        endpoint: address of the Prefect API.
        spec: the specification; see `infra.prefect_yaml.load.load_deployments`.
        work_pool_name: the work pool of a specification that names none. Pass an output of the `WorkPool`, so that the
            pool is created first; a deployment in another pool waits for it as well.
        work_queue_name: the specification's queue as an output of its `WorkQueue`, so that the queue is created first.

    """

    endpoint: ApiEndpoint
    spec: DeploymentSpec
    work_pool_name: Input[str]
    work_queue_name: Input[str] | None = None


class Deployment(Resource, module="prefect", name="Deployment"):
    """A deployment in Prefect. An existing one of that flow and name is adopted.

    Each field is an input of its own, because a preview names the inputs that change.
    """

    flow_name: Output[str]
    name: Output[str]
    deployment_id: Output[str]
    """Prefect's id, as in the URL of the deployment's page."""

    def __init__(self, name: str, args: DeploymentArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(DeploymentProvider(), name, inputs(args, owner(name)) | {"deployment_id": None}, opts)


def inputs(args: DeploymentArgs, mark: str) -> dict[str, Any]:
    """Return the resource's inputs.

    Args:
        args: the deployment.
        mark: the owner; see `provider.owner`.

    """
    fields = {name: encode(value) for name, value in declared(args.spec).items() if value is not None}
    for name in args.spec.secret_fields:
        fields[name] = Output.secret(fields[name])
    if args.work_queue_name is not None:
        fields["work_queue_name"] = args.work_queue_name
    return {REACH: to_props(args.endpoint), OWNER: mark, **fields, "work_pool_name": _pool(args)}


def _pool(args: DeploymentArgs) -> Input[str]:
    named = args.spec.work_pool_name
    own = args.work_pool_name
    return own if named is None else Output.from_input(own).apply(lambda _: named)


def declared(spec: DeploymentSpec) -> Fields:
    """Return the specification's fields without the work pool, which may not exist yet."""
    return {
        "flow_name": spec.flow_name,
        "name": spec.name,
        "entrypoint": spec.entrypoint,
        "description": spec.description or None,
        "version": spec.version,
        "tags": list(spec.tags),
        "parameters": dict(spec.parameters),
        "parameter_schema": dict(spec.parameter_schema),
        "enforce_parameter_schema": spec.enforce_parameter_schema,
        "schedules": schedules.declared(spec.schedules),
        "concurrency_limit": spec.concurrency_limit,
        "collision_strategy": spec.collision_strategy,
        "grace_period_seconds": spec.grace_period_seconds,
        "paused": spec.paused,
        "work_queue_name": spec.work_queue_name,
        "job_variables": dict(spec.job_variables),
        "pull_steps": [dict(step) for step in spec.pull_steps],
    }


class DeploymentProvider(PrefectProvider):
    """Registers deployments. The owner is a label."""

    noun = "deployment"
    key_fields = ("flow_name", "name")
    computed = ("deployment_id",)

    def get(self, api: PrefectApi, fields: Fields, *, operation: str, deadline: float) -> Fields | None:
        where = path("deployments", "name", fields["flow_name"], fields["name"])
        live: Fields | None = api.get(where, operation=operation, deadline=deadline)
        return live

    def get_cached(self, api: PrefectApi, fields: Fields, *, operation: str, deadline: float) -> Fields | None:
        cached = api.deployments.get(fields["flow_name"], fields["name"], operation=operation, deadline=deadline)
        return cached[0] if cached else self.get(api, fields, operation=operation, deadline=deadline)

    def from_api(self, live: Fields, declared: Fields) -> Fields:
        current = {field: live.get(name) for field, name in _SENT_AS.items()}
        for field in _UNMANAGED:
            if field not in declared:
                del current[field]
        limit = live.get("global_concurrency_limit") or {}
        options = live.get("concurrency_options") or {}
        return {
            "flow_name": declared["flow_name"],
            "name": live["name"],
            **current,
            "description": live.get("description") or None,
            "schedules": schedules.observed(live["schedules"], declared.get("schedules", {})),
            "concurrency_limit": limit.get("limit"),
            "collision_strategy": options.get("collision_strategy"),
            "grace_period_seconds": options.get("grace_period_seconds"),
            "pull_steps": live.get("pull_steps") or [],
            "deployment_id": live["id"],
        }

    def owner_of(self, live: Fields) -> str:
        return str((live.get("labels") or {}).get(OWNER_MARK, ""))

    def create_live(self, api: PrefectApi, fields: Fields) -> Fields:
        api.deployments.invalidate(fields["flow_name"], fields["name"])
        validated = fields[_ENFORCE] and conforms(fields.get("parameters", {}), fields.get("parameter_schema", {}))
        live = self._post(api, fields, {}, validated=validated)
        return live if live[_ENFORCE] == fields[_ENFORCE] else self._post(api, fields, {})

    def update_live(self, api: PrefectApi, live: Fields, fields: Fields) -> Fields:
        """Update what differs.

        A PATCH of the deployment deletes its scheduled runs, so it is sent only if fields differ and with those fields
        only. Schedules are changed one by one.
        """
        api.deployments.invalidate(fields["flow_name"], fields["name"])
        if self.owner_of(live) != stack_of(fields[OWNER]):
            # Only a POST writes labels. It replaces the schedules too, so those paused by hand are sent as paused.
            return self._post(api, fields, schedules.activity(live["schedules"], fields["schedules"]))
        operation = self._operation("update", fields)
        where = path("deployments", live["id"])
        current = self.from_api(live, fields)
        changed = [name for name in current if name not in self.computed and current.get(name) != fields.get(name)]
        patch = _patch(fields, changed)
        if "work_pool_name" in patch:
            self._require_pool(api, fields)
        if patch:
            api.patch(where, patch, operation=operation)
        steps = schedules.plan(live["schedules"], fields["schedules"])
        for slug in steps.resumed:
            text = (
                f"{self._title(fields)}: {slug} is another schedule than the paused one in its place, so it is active."
            )
            log("warning", f"{text} Give schedules a slug to keep them apart.")
        if steps.delete and backlog.waiting(api, live["id"], operation=operation):
            self._replace_schedules(api, live, fields)
        else:
            for schedule in steps.delete:
                api.delete(f"{where}{path('schedules', schedule)}", operation=operation)
            for schedule, sent in steps.change:
                api.patch(f"{where}{path('schedules', schedule)}", sent, operation=operation)
            if steps.create:
                api.post(f"{where}/schedules", steps.create, operation=operation)
        if not (patch or steps.delete or steps.change or steps.create):
            return live
        updated = self.get(api, fields, operation=self._operation("read", fields), deadline=DEADLINE)
        return updated or live

    def _replace_schedules(self, api: PrefectApi, live: Fields, fields: Fields) -> None:
        """Replace all schedules at once: a DELETE of one deletes the runs of all that wait for a worker.

        Prefect replaces them if one of them has no slug, and deletes future runs only then; so an inactive one without
        is added first. An interrupted update leaves it, and the next one removes it.
        """
        operation, where = self._operation("update", fields), path("deployments", live["id"])
        without_slug = {"active": False, "schedule": {"cron": "0 0 1 1 *", "timezone": "UTC"}}
        if all(item["slug"] for item in live["schedules"]):
            api.post(f"{where}/schedules", [without_slug], operation=operation)
        sent = schedules.replacement(live["schedules"], fields["schedules"])
        api.patch(where, {"schedules": sent}, operation=operation)

    def delete_live(self, api: PrefectApi, live: Fields, fields: Fields) -> None:
        api.deployments.invalidate(fields["flow_name"], fields["name"])
        api.delete(path("deployments", live["id"]), operation=self._operation("delete", fields))

    def _post(self, api: PrefectApi, fields: Fields, active: dict[str, bool], *, validated: bool = False) -> Fields:
        operation = self._operation("register", fields)
        declared_schedules = {
            slug: {"active": active[slug], **schedule} if slug in active else schedule
            for slug, schedule in fields["schedules"].items()
        }
        body = {
            "name": fields["name"],
            "flow_id": api.flow_id(fields["flow_name"], operation=operation),
            "labels": {OWNER_MARK: stack_of(fields[OWNER])},
            "schedules": [schedules.body(slug, schedule) for slug, schedule in declared_schedules.items()],
            "concurrency_options": _concurrency_options(fields),
            **{
                name: fields.get(field)
                for field, name in _SENT_AS.items()
                if field in fields or field not in _UNMANAGED
            },
        }
        if validated:
            # Without the field, the server enforces the schema but skips the validation at registration.
            del body[_ENFORCE]
        live: Fields = api.post("/deployments/", body, operation=operation)
        return live

    def _require_pool(self, api: PrefectApi, fields: Fields) -> None:
        """Check that the work pool exists: Prefect answers a PATCH with a missing pool with 500 and no message."""
        pool = fields["work_pool_name"]
        if api.get(path("work_pools", pool), operation=self._operation("update", fields)) is None:
            raise RegistrationError(
                f"Could not {self._operation('update', fields)} at {api.address}",
                why=f"work pool '{pool}' does not exist",
                remedy="name an existing one in work_pool.name",
            )


def _patch(fields: Fields, changed: list[str]) -> Fields:
    """Return the PATCH for the changed fields; a missing field is sent as null, which clears it."""
    patch = {_SENT_AS[field]: fields.get(field) for field in changed if field in _SENT_AS}
    if {"collision_strategy", "grace_period_seconds"} & set(changed):
        patch["concurrency_options"] = _concurrency_options(fields)
    if {"work_pool_name", "work_queue_name", "job_variables"} & set(changed):
        # Prefect looks up a queue without its pool in another pool, resets the queue if only the pool is sent, and
        # validates job variables only together with the pool.
        patch |= {name: fields[name] for name in ("work_pool_name", "work_queue_name")}
    return patch


def _concurrency_options(fields: Fields) -> Fields | None:
    options = {name: fields.get(name) for name in ("collision_strategy", "grace_period_seconds")}
    return options if options["collision_strategy"] else None
