"""The automation: what Prefect does by itself when events come, or stay away."""

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
        endpoint: where the Prefect API is.
        name: its name in Prefect, which lets two have the same; here it is unique within the stack, or within the
            deployment that owns it.
        trigger: in Prefect's schema; ids inside it may be outputs.
        actions: in Prefect's schema; ids inside them may be outputs.
        actions_on_trigger: what is done in addition when it goes into the triggered state.
        actions_on_resolve: what is done when it goes back.
        description: shown in Prefect's UI.
        enabled: None leaves it to whoever pauses and resumes it; a new one is enabled.
        tags: for finding it.
        deployment: `<flow>/<deployment>` that owns it, for a trigger of prefect.yaml.
        deployment_id: Prefect's id of that deployment, by which `prefect deploy` knows its automations.
        secret: whether the actions hold a value that must not be shown.

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
    """An automation in Prefect, adopted if one of that name exists."""

    name: Output[str]
    automation_id: Output[str]
    """Prefect's own id."""

    def __init__(self, name: str, args: AutomationArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(AutomationProvider(), name, inputs(args, owner(name)) | {"automation_id": None}, opts)


def inputs(args: AutomationArgs, mark: str) -> dict[str, Any]:
    """Return the resource's inputs.

    Args:
        args: the automation.
        mark: of ownership.

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
    """See `PrefectProvider`; the mark of ownership is the last line of the description.

    Prefect keeps no name unique, so an automation that was seen before is found by its id.
    """

    noun = "automation"
    key_fields = ("deployment", "name")
    computed = ("automation_id",)

    def key(self, fields: Fields) -> str:
        return "/".join(str(fields[name]) for name in self.key_fields if fields.get(name))

    def get(self, api: PrefectApi, fields: Fields, *, operation: str, deadline: float) -> Fields | None:
        seen = fields.get("automation_id")
        found: Fields | None = (
            api.get(path("automations", seen), operation=operation, deadline=deadline) if seen else None
        )
        return found or self._chosen(self._namesakes(api, fields, operation, deadline), fields)

    def from_api(self, live: Fields, declared: Fields) -> Fields:
        seen = {
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
            del seen["enabled"]
        return seen

    def owner_of(self, live: Fields) -> str:
        return split_owner_line(live.get("description") or "")[1]

    def create_live(self, api: PrefectApi, fields: Fields) -> Fields:
        body = _body(fields, {})
        if fields.get("deployment_id"):
            body["owner_resource"] = _resource(fields)
        operation = self._operation("register", fields)
        made: Fields = api.post("/automations/", body, operation=operation)
        for twin in self._namesakes(api, fields, operation, DEADLINE):
            # The answer to a first try was lost, and Prefect lets two have the same name.
            if twin["id"] != made["id"] and self.owner_of(twin) == stack_of(fields[OWNER]):
                self.delete_live(api, twin, fields)
        return made

    def update_live(self, api: PrefectApi, live: Fields, fields: Fields) -> Fields:
        """See base.

        Writing the trigger makes Prefect forget what it has counted so far, so being enabled is written alone.
        """
        seen = self.from_api(live, fields)
        changed = [name for name in _COMPARED if name in seen and seen.get(name) != fields.get(name)]
        marked = self.owner_of(live) == stack_of(fields[OWNER])
        if not changed and marked:
            return live
        operation, where = self._operation("update", fields), path("automations", live["id"])
        if changed == ["enabled"] and marked:
            api.patch(where, {"enabled": fields["enabled"]}, operation=operation)
        else:
            api.put(where, _body(fields, live), operation=operation)
        return self.get(api, {**fields, "automation_id": live["id"]}, operation=operation, deadline=DEADLINE) or live

    def delete_live(self, api: PrefectApi, live: Fields, fields: Fields) -> None:
        api.delete(path("automations", live["id"]), operation=self._operation("delete", fields))

    def update(self, _id: str, _olds: Fields, _news: Fields) -> UpdateResult:
        """See base. Which deployment owns an automation never changes in Prefect: then it is made again."""
        olds, news = decode(_olds), decode(_news)
        if olds.get("deployment_id") != news.get("deployment_id"):
            api, seen = session.api(news), olds.get("automation_id")
            operation = self._operation("update", news)
            live = api.get(path("automations", seen), operation=operation) if seen else None
            if live is not None and self.owner_of(live) in ("", stack_of(olds[OWNER])):
                self.delete_live(api, live, news)
        return super().update(_id, _olds, _news)

    def _namesakes(self, api: PrefectApi, fields: Fields, operation: str, deadline: float) -> list[Fields]:
        if fields.get("deployment"):
            if not (fields.get("deployment_id") and known(fields["deployment_id"])):
                # The deployment does not exist yet, and so no automation of it.
                return []
            where = path("automations", "related-to", _resource(fields))
            listed = api.get(where, operation=operation, deadline=deadline) or []
        else:
            wanted = {"automations": {"name": {"any_": [fields["name"]]}}}
            listed = api.post("/automations/filter", wanted, operation=operation, deadline=deadline)
        return [item for item in listed if item["name"] == fields["name"]]

    def _chosen(self, found: list[Fields], fields: Fields) -> Fields | None:
        ours = [item for item in found if self.owner_of(item) == stack_of(fields[OWNER])]
        nobodys = [item for item in found if not self.owner_of(item)]
        if len(nobodys) > 1 and not ours:
            raise RegistrationError(
                f"Prefect {self._title(fields)} cannot be adopted",
                why=f"there are {len(nobodys)} of that name, and nothing says which is meant",
                remedy="delete all but one, or choose another name",
            )
        return next(iter(ours or nobodys or found), None)


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
    # Prefect before 3.4.7 knows no tags of automations, and refuses what it does not know.
    if fields.get("tags") or live.get("tags"):
        body["tags"] = fields.get("tags") or []
    return body
