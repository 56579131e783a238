"""The work pool: what a worker polls, with the base job template of its runs."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi import Input, Output
from pulumi.dynamic import Resource

from infra.registration.api import DEADLINE, PrefectApi, path
from infra.registration.encoding import encode
from infra.registration.endpoint import ApiEndpoint, to_props
from infra.registration.errors import RegistrationError
from infra.registration.provider import OWNER, OWNER_MARK, REACH, Fields, PrefectProvider, owner, stack_of

_WRITABLE: Final = ("description", "base_job_template", "concurrency_limit")


@dataclass(frozen=True, kw_only=True)
class WorkPoolArgs:
    """A work pool.

    Attributes:
        endpoint: address of the Prefect API.
        name: its name in Prefect, which worker and deployments refer to.
        base_job_template: `job_configuration` with placeholders, and `variables` as a JSON schema. It replaces the
            worker's default.
        type: type of the worker.
        description: text in Prefect's UI.
        concurrency_limit: active runs of the pool at the same time; no limit if None.

    """

    endpoint: ApiEndpoint
    name: Input[str]
    base_job_template: Input[Mapping[str, Any]]
    type: str = "kubernetes"
    description: str | None = None
    concurrency_limit: int | None = None


class WorkPool(Resource, module="prefect", name="WorkPool"):
    """A work pool in Prefect. An existing one of that name is adopted.

    Whether it is paused is not managed here.
    """

    name: Output[str]
    pool_id: Output[str]
    """Prefect's id."""

    def __init__(self, name: str, args: WorkPoolArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(WorkPoolProvider(), name, inputs(args, owner(name)) | {"pool_id": None}, opts)


def inputs(args: WorkPoolArgs, mark: str) -> dict[str, Any]:
    """Return the resource's inputs.

    Args:
        args: the pool.
        mark: the owner; see `provider.owner`.

    """
    return {
        REACH: to_props(args.endpoint),
        OWNER: mark,
        "name": args.name,
        "type": args.type,
        "description": args.description,
        "base_job_template": encode(args.base_job_template),
        "concurrency_limit": args.concurrency_limit,
    }


class WorkPoolProvider(PrefectProvider):
    """Registers work pools. The owner is a keyword in the schema of the template's variables."""

    noun = "work pool"
    key_fields = ("name",)
    computed = ("pool_id",)

    def get(self, api: PrefectApi, fields: Fields, *, operation: str, deadline: float) -> Fields | None:
        live: Fields | None = api.get(path("work_pools", fields["name"]), operation=operation, deadline=deadline)
        return live

    def from_api(self, live: Fields, declared: Fields) -> Fields:  # noqa: ARG002  all fields are managed
        template, _ = _unmarked(live["base_job_template"])
        return {
            "name": live["name"],
            "type": live["type"],
            "description": live.get("description") or None,
            "base_job_template": template,
            "concurrency_limit": live.get("concurrency_limit"),
            "pool_id": live["id"],
        }

    def owner_of(self, live: Fields) -> str:
        return _unmarked(live["base_job_template"])[1]

    def create_live(self, api: PrefectApi, fields: Fields) -> Fields:
        body = {"name": fields["name"], "type": fields["type"], **_body(fields, _WRITABLE)}
        return self.create_or_adopt(api, "/work_pools/", body, fields)

    def update_live(self, api: PrefectApi, live: Fields, fields: Fields) -> Fields:
        if live["type"] != fields["type"]:
            raise RegistrationError(
                f"Prefect {self._title(fields)} cannot get type '{fields['type']}'",
                why=f"it is of type '{live['type']}', and Prefect cannot change the type of a work pool",
                remedy="choose another name, or delete that pool first",
            )
        changed = self.fields_to_write(live, fields, _WRITABLE, mark="base_job_template")
        if not changed:
            return live
        api.patch(
            path("work_pools", fields["name"]), _body(fields, changed), operation=self._operation("update", fields)
        )
        updated = self.get(api, fields, operation=self._operation("read", fields), deadline=DEADLINE)
        return updated or live

    def delete_live(self, api: PrefectApi, live: Fields, fields: Fields) -> None:
        api.delete(path("work_pools", live["name"]), operation=self._operation("delete", fields))


def _body(fields: Fields, names: tuple[str, ...] | list[str]) -> Fields:
    """Return the request body; a missing field is sent as null, which clears it."""
    body = {name: fields.get(name) for name in names}
    if "base_job_template" in body:
        body["base_job_template"] = _marked(body["base_job_template"] or {}, stack_of(fields[OWNER]))
    return body


def _marked(template: Mapping[str, Any], stack: str) -> Fields:
    # A work pool has no labels, and JSON schema validators ignore unknown keywords.
    return {**template, "variables": {**template.get("variables", {}), OWNER_MARK: stack}}


def _unmarked(template: Mapping[str, Any]) -> tuple[Fields, str]:
    bare = copy.deepcopy(dict(template))
    variables = bare.get("variables")
    mark = variables.pop(OWNER_MARK, "") if isinstance(variables, dict) else ""
    return bare, str(mark)
