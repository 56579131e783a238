"""The variable: a value that flows and job variables refer to by name, readable by every client of the API."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi import Input, Output
from pulumi.dynamic import Resource

from infra.registration.api import DEADLINE, PrefectApi, path
from infra.registration.encoding import encode
from infra.registration.endpoint import ApiEndpoint, to_props
from infra.registration.ownership import split_owner_tag, with_owner_tag
from infra.registration.provider import OWNER, REACH, Fields, PrefectProvider, owner, stack_of

_WRITABLE: Final = ("value", "tags")


@dataclass(frozen=True, kw_only=True)
class VariableArgs:
    """A variable.

    Attributes:
        endpoint: address of the Prefect API.
        name: letters, digits, dashes and underscores.
        value: any JSON value, but no secret: Prefect shows it in plain text.
        tags: labels in Prefect's UI.

    """

    endpoint: ApiEndpoint
    name: str
    value: Input[Any]
    tags: tuple[str, ...] = ()


class Variable(Resource, module="prefect", name="Variable"):
    """A variable in Prefect."""

    name: Output[str]
    variable_id: Output[str]
    """Prefect's id."""

    def __init__(self, name: str, args: VariableArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(VariableProvider(), name, inputs(args, owner(name)) | {"variable_id": None}, opts)


def inputs(args: VariableArgs, mark: str) -> dict[str, Any]:
    """Return the resource's inputs.

    Args:
        args: the variable.
        mark: the owner; see `provider.owner`.

    """
    return {
        REACH: to_props(args.endpoint),
        OWNER: mark,
        "name": args.name,
        "value": encode(args.value),
        "tags": list(args.tags),
    }


class VariableProvider(PrefectProvider):
    """Registers variables. The owner is a tag."""

    noun = "variable"
    key_fields = ("name",)
    computed = ("variable_id",)

    def get(self, api: PrefectApi, fields: Fields, *, operation: str, deadline: float) -> Fields | None:
        live: Fields | None = api.get(path("variables", "name", fields["name"]), operation=operation, deadline=deadline)
        return live

    def from_api(self, live: Fields, declared: Fields) -> Fields:  # noqa: ARG002  all fields are managed
        tags, _ = split_owner_tag(live["tags"])
        return {"name": live["name"], "value": live["value"], "tags": tags, "variable_id": live["id"]}

    def owner_of(self, live: Fields) -> str:
        return split_owner_tag(live["tags"])[1]

    def create_live(self, api: PrefectApi, fields: Fields) -> Fields:
        body = {"name": fields["name"], **_body(fields, _WRITABLE)}
        return self.create_or_adopt(api, "/variables/", body, fields)

    def update_live(self, api: PrefectApi, live: Fields, fields: Fields) -> Fields:
        changed = self.fields_to_write(live, fields, _WRITABLE, mark="tags")
        if not changed:
            return live
        operation = self._operation("update", fields)
        api.patch(path("variables", "name", fields["name"]), _body(fields, changed), operation=operation)
        return self.get(api, fields, operation=operation, deadline=DEADLINE) or live

    def delete_live(self, api: PrefectApi, live: Fields, fields: Fields) -> None:
        api.delete(path("variables", "name", live["name"]), operation=self._operation("delete", fields))


def _body(fields: Fields, names: tuple[str, ...] | list[str]) -> Fields:
    body = {name: fields.get(name) for name in names}
    if "tags" in body:
        body["tags"] = with_owner_tag(body["tags"] or [], stack_of(fields[OWNER]))
    return body
