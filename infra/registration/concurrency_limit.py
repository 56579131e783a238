"""The global concurrency limit: how many slots of a named resource all runs together may hold at the same time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi import Output
from pulumi.dynamic import Resource

from infra.registration.api import DEADLINE, PrefectApi, path
from infra.registration.endpoint import ApiEndpoint, to_props
from infra.registration.ownership import split_owner_tag, with_owner_tag
from infra.registration.provider import OWNER, REACH, Fields, PrefectProvider, owner, stack_of

_OWNER: Final = "owner_mark"
"""The owner among the fields of the server's object."""

_WRITABLE: Final = ("limit", "slot_decay_per_second", "active")


@dataclass(frozen=True, kw_only=True)
class GlobalConcurrencyLimitArgs:
    """A global concurrency limit.

    Attributes:
        endpoint: address of the Prefect API.
        name: the name in `concurrency(...)` and `rate_limit(...)` of a flow; `tag:<tag>` limits task runs with a tag.
        limit: number of slots.
        slot_decay_per_second: slots released per second, for a rate limit.
        active: whether it is enforced. None keeps what a person has set in Prefect; a new limit is active.

    """

    endpoint: ApiEndpoint
    name: str
    limit: int
    slot_decay_per_second: float = 0
    active: bool | None = None


class GlobalConcurrencyLimit(Resource, module="prefect", name="GlobalConcurrencyLimit"):
    """A global concurrency limit in Prefect.

    Prefect has no field of it that could hold the owner. A Prefect variable does, whose name has a hash of the limit's.
    """

    name: Output[str]
    limit_id: Output[str]
    """Prefect's id."""

    def __init__(self, name: str, args: GlobalConcurrencyLimitArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = inputs(args, owner(name)) | {"limit_id": None}
        super().__init__(GlobalConcurrencyLimitProvider(), name, props, opts)


def inputs(args: GlobalConcurrencyLimitArgs, mark: str) -> dict[str, Any]:
    """Return the resource's inputs.

    Args:
        args: the limit.
        mark: the owner; see `provider.owner`.

    """
    return {
        REACH: to_props(args.endpoint),
        OWNER: mark,
        "name": args.name,
        "limit": args.limit,
        "slot_decay_per_second": args.slot_decay_per_second,
        "active": args.active,
    }


class GlobalConcurrencyLimitProvider(PrefectProvider):
    """Registers global concurrency limits. The owner is a tag of a variable, which is written before the limit."""

    noun = "global concurrency limit"
    key_fields = ("name",)
    computed = ("limit_id",)
    has_mark_apart = True

    def get(self, api: PrefectApi, fields: Fields, *, operation: str, deadline: float) -> Fields | None:
        where = path("v2", "concurrency_limits", fields["name"])
        live: Fields | None = api.get(where, operation=operation, deadline=deadline)
        if live is None:
            return None
        mark = api.get(_mark(fields), operation=operation, deadline=deadline)
        return {**live, _OWNER: split_owner_tag(mark["tags"])[1] if mark else ""}

    def from_api(self, live: Fields, declared: Fields) -> Fields:
        managed = [name for name in _WRITABLE if name != "active" or declared.get("active") is not None]
        return {"name": live["name"], **{name: live[name] for name in managed}, "limit_id": live["id"]}

    def owner_of(self, live: Fields) -> str:
        return str(live[_OWNER])

    def create_live(self, api: PrefectApi, fields: Fields) -> Fields:
        # Before the limit: an update that is killed between the two finds its own limit.
        self._claim(api, fields)
        body = {name: fields[name] for name in ("name", *_WRITABLE) if fields.get(name) is not None}
        live = self.create_or_adopt(api, "/v2/concurrency_limits/", body, fields)
        return {**live, _OWNER: stack_of(fields[OWNER])}

    def update_live(self, api: PrefectApi, live: Fields, fields: Fields) -> Fields:
        current = self.from_api(live, fields)
        changed = {
            name: fields[name]
            for name in _WRITABLE
            if fields.get(name) is not None and current.get(name) != fields[name]
        }
        if self.owner_of(live) != stack_of(fields[OWNER]):
            self._claim(api, fields)
            live = {**live, _OWNER: stack_of(fields[OWNER])}
        if not changed:
            return live
        operation = self._operation("update", fields)
        api.patch(path("v2", "concurrency_limits", fields["name"]), changed, operation=operation)
        return self.get(api, fields, operation=operation, deadline=DEADLINE) or live

    def delete_live(self, api: PrefectApi, live: Fields, fields: Fields) -> None:
        operation = self._operation("delete", fields)
        # Before the limit: a refresh after an interrupted deletion would not see a mark without its limit.
        api.delete(_mark(fields), operation=operation)
        api.delete(path("v2", "concurrency_limits", live["name"]), operation=operation)

    def _claim(self, api: PrefectApi, fields: Fields) -> None:
        operation = self._operation("mark", fields)
        body = {
            "name": _mark_name(fields),
            "value": fields["name"],
            "tags": with_owner_tag([], stack_of(fields[OWNER])),
        }
        if api.get(_mark(fields), operation=operation) is None:
            api.post("/variables/", body, operation=operation)
        else:
            api.patch(_mark(fields), body, operation=operation)


def _mark_name(fields: Fields) -> str:
    """Return the name of the variable with the owner: a limit's name may have characters that a variable's may not."""
    return f"ephemeral_dask_limit_{hashlib.sha256(fields['name'].encode()).hexdigest()[:16]}"


def _mark(fields: Fields) -> str:
    return path("variables", "name", _mark_name(fields))
