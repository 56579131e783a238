"""The automation: what Prefect does when events arrive or fail to arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi import Input, Output
from pulumi.dynamic import Resource, UpdateResult

from infra.registration import session
from infra.registration.api import DEADLINE, PrefectApi, path
from infra.registration.encoding import decode, encode, known
from infra.registration.endpoint import ApiEndpoint, to_props
from infra.registration.errors import RegistrationError
from infra.registration.ownership import split_owner_line, with_owner_line
from infra.registration.provider import OWNER, REACH, Fields, PrefectProvider, owner, stack_of
from infra.specs.automation import full_trigger, normal_action, normal_trigger

_ACTIONS: Final = ("actions", "actions_on_trigger", "actions_on_resolve")
_COMPARED: Final = ("name", "description", "enabled", "tags", "trigger", *_ACTIONS)


@dataclass(frozen=True, kw_only=True)
class AutomationArgs:
    """An automation.

    Attributes:
        endpoint: address of the Prefect API.
        name: unique within the stack, or within the deployment that owns it. Prefect allows duplicate names.
        trigger: in Prefect's schema; ids inside it may be outputs.
        actions: in Prefect's schema; ids inside them may be outputs.
        actions_on_trigger: further actions when the trigger fires.
        actions_on_resolve: actions when the trigger resolves.
        description: text in Prefect's UI.
        enabled: None keeps what a person has set in Prefect; a new automation is enabled.
        tags: labels in Prefect's UI.
        deployment: `<flow>/<deployment>` that owns it, for a trigger of prefect.yaml.
        deployment_id: Prefect's id of that deployment, with which `prefect deploy` finds the automation.
        secret: whether the actions hold a secret value.

    """

    endpoint: ApiEndpoint
    name: str
    trigger: Mapping[str, Any]
    actions: Sequence[Mapping[str, Any]]
    actions_on_trigger: Sequence[Mapping[str, Any]] = ()
    actions_on_resolve: Sequence[Mapping[str, Any]] = ()
    description: str = ""
    enabled: bool | None = None
    tags: tuple[str, ...] = ()
    deployment: str | None = None
    deployment_id: Input[str] | None = None
    secret: bool = False


class Automation(Resource, module="prefect", name="Automation"):
    """An automation in Prefect."""

    name: Output[str]
    automation_id: Output[str]
    """Prefect's id."""

    def __init__(self, name: str, args: AutomationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(AutomationProvider(), name, inputs(args, owner(name)) | {"automation_id": None}, opts)


def inputs(args: AutomationArgs, mark: str) -> dict[str, Any]:
    """Return the resource's inputs.

    Args:
        args: the automation.
        mark: the owner; see `provider.owner`.

    """
    actions = {name: encode([normal_action(action) for action in getattr(args, name)]) for name in _ACTIONS}
    if args.secret:
        actions["actions"] = Output.secret(actions["actions"])
    return {
        REACH: to_props(args.endpoint),
        OWNER: mark,
        "deployment": args.deployment,
        "deployment_id": args.deployment_id,
        "name": args.name,
        "description": args.description or None,
        "enabled": args.enabled,
        "tags": list(args.tags),
        "trigger": encode(normal_trigger(args.trigger)),
        **actions,
    }


class AutomationProvider(PrefectProvider):
    """Registers automations. The owner is the last line of the description.

    Names are not unique in Prefect, so a registered automation is looked up by its id.
    """

    noun = "automation"
    key_fields = ("deployment", "name")
    computed = ("automation_id",)

    def key(self, fields: Fields) -> str:
        return "/".join(str(fields[name]) for name in self.key_fields if fields.get(name))

    def get(self, api: PrefectApi, fields: Fields, *, operation: str, deadline: float) -> Fields | None:
        id_ = fields.get("automation_id")
        live = api.get(path("automations", id_), operation=operation, deadline=deadline) if id_ else None
        return live or self._select(self._namesakes(api, fields, operation, deadline), fields)

    def from_api(self, live: Fields, declared: Fields) -> Fields:
        current = {
            "deployment": declared.get("deployment"),
            "deployment_id": declared.get("deployment_id"),
            "name": live["name"],
            "description": split_owner_line(live.get("description") or "")[0] or None,
            "enabled": live["enabled"],
            "tags": live.get("tags") or [],
            "trigger": normal_trigger(live["trigger"]),
            **{name: [normal_action(action) for action in live.get(name) or []] for name in _ACTIONS},
            "automation_id": live["id"],
        }
        if declared.get("enabled") is None:
            del current["enabled"]
        return current

    def is_adoptable(self, fields: Fields) -> bool:
        """Return the same; the automations of a deployment that may be adopted may be, too."""
        deployment = fields.get("deployment")
        return super().is_adoptable(fields) or bool(deployment and session.is_adoptable(f"deployment/{deployment}"))

    def owner_of(self, live: Fields) -> str:
        return split_owner_line(live.get("description") or "")[1]

    def create_live(self, api: PrefectApi, fields: Fields) -> Fields:
        body = _body(fields, {})
        if fields.get("deployment_id"):
            body["owner_resource"] = _resource(fields)
        operation = self._operation("register", fields)
        live: Fields = api.post("/automations/", body, operation=operation)
        for duplicate in self._namesakes(api, fields, operation, DEADLINE):
            # The response to a first attempt was lost, and Prefect allows duplicate names.
            if duplicate["id"] != live["id"] and self.owner_of(duplicate) == stack_of(fields[OWNER]):
                self.delete_live(api, duplicate, fields)
        return live

    def update_live(self, api: PrefectApi, live: Fields, fields: Fields) -> Fields:
        """Update what differs.

        Writing the trigger resets the events that Prefect has counted, so a change of `enabled` is written alone.
        """
        current = self.from_api(live, fields)
        changed = [name for name in _COMPARED if name in current and current.get(name) != fields.get(name)]
        owned = self.owner_of(live) == stack_of(fields[OWNER])
        if not changed and owned:
            return live
        operation, where = self._operation("update", fields), path("automations", live["id"])
        if changed == ["enabled"] and owned:
            api.patch(where, {"enabled": fields["enabled"]}, operation=operation)
        else:
            api.put(where, _body(fields, live), operation=operation)
        return self.get(api, {**fields, "automation_id": live["id"]}, operation=operation, deadline=DEADLINE) or live

    def delete_live(self, api: PrefectApi, live: Fields, fields: Fields) -> None:
        api.delete(path("automations", live["id"]), operation=self._operation("delete", fields))

    def update(self, _id: str, _olds: Fields, _news: Fields) -> UpdateResult:
        """Recreate an automation whose deployment has a new id, which Prefect cannot change; update any other."""
        olds, news = decode(_olds), decode(_news)
        if olds.get("deployment_id") != news.get("deployment_id"):
            api, id_ = session.api(news), olds.get("automation_id")
            operation = self._operation("update", news)
            live = api.get(path("automations", id_), operation=operation) if id_ else None
            if live is not None and self.owner_of(live) in ("", stack_of(olds[OWNER])):
                self.delete_live(api, live, news)
        return super().update(_id, _olds, _news)

    def _namesakes(self, api: PrefectApi, fields: Fields, operation: str, deadline: float) -> list[Fields]:
        if fields.get("deployment"):
            if not (fields.get("deployment_id") and known(fields["deployment_id"])):
                # The deployment does not exist yet, so it has no automation.
                return []
            where = path("automations", "related-to", _resource(fields))
            automations = api.get(where, operation=operation, deadline=deadline) or []
        else:
            body = {"automations": {"name": {"any_": [fields["name"]]}}}
            automations = api.post("/automations/filter", body, operation=operation, deadline=deadline)
        return [item for item in automations if item["name"] == fields["name"]]

    def _select(self, namesakes: list[Fields], fields: Fields) -> Fields | None:
        ours = [item for item in namesakes if self.owner_of(item) == stack_of(fields[OWNER])]
        unowned = [item for item in namesakes if not self.owner_of(item)]
        if len(unowned) > 1 and not ours:
            raise RegistrationError(
                f"Prefect {self._title(fields)} cannot be adopted",
                why=f"there are {len(unowned)} automations of that name",
                remedy="delete all but one, or choose another name",
            )
        return next(iter(ours or unowned or namesakes), None)


def _resource(fields: Fields) -> str:
    return f"prefect.deployment.{fields['deployment_id']}"


def _body(fields: Fields, live: Fields) -> Fields:
    body = {
        "name": fields["name"],
        "description": with_owner_line(fields.get("description") or "", stack_of(fields[OWNER])),
        "enabled": live.get("enabled", True) if fields.get("enabled") is None else fields["enabled"],
        "trigger": full_trigger(fields["trigger"]),
        **{name: fields.get(name) or [] for name in _ACTIONS},
    }
    # Automations have tags since Prefect 3.4.7; an older server refuses the field.
    if fields.get("tags") or live.get("tags"):
        body["tags"] = fields.get("tags") or []
    return body
