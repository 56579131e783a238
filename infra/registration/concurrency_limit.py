"""The global concurrency limit: how many slots of a named resource all runs together may hold at the same time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi import Output
from pulumi.dynamic import Resource

from infra.registration.api import DEADLINE, PrefectApi, path
from infra.registration.endpoint import ApiEndpoint, to_props
from infra.registration.provider import OWNER, REACH, Fields, PrefectProvider, owner

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
    """A global concurrency limit in Prefect. An existing one of that name is adopted.

    Prefect has no field that could hold the owner, so two stacks on one server must not declare the same name.
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
    """Registers global concurrency limits, which have no owner."""

    noun = "global concurrency limit"
    key_fields = ("name",)
    computed = ("limit_id",)
    adoption_note = "Prefect does not record its owner, so check that no other stack declares it."

    def get(self, api: PrefectApi, fields: Fields, *, operation: str, deadline: float) -> Fields | None:
        where = path("v2", "concurrency_limits", fields["name"])
        live: Fields | None = api.get(where, operation=operation, deadline=deadline)
        return live

    def from_api(self, live: Fields, declared: Fields) -> Fields:
        managed = [name for name in _WRITABLE if name != "active" or declared.get("active") is not None]
        return {"name": live["name"], **{name: live[name] for name in managed}, "limit_id": live["id"]}

    def owner_of(self, live: Fields) -> str:  # noqa: ARG002  Prefect has no field for it
        return ""

    def create_live(self, api: PrefectApi, fields: Fields) -> Fields:
        body = {name: fields[name] for name in ("name", *_WRITABLE) if fields.get(name) is not None}
        return self.create_or_adopt(api, "/v2/concurrency_limits/", body, fields)

    def update_live(self, api: PrefectApi, live: Fields, fields: Fields) -> Fields:
        current = self.from_api(live, fields)
        changed = {
            name: fields[name]
            for name in _WRITABLE
            if fields.get(name) is not None and current.get(name) != fields[name]
        }
        if not changed:
            return live
        operation = self._operation("update", fields)
        api.patch(path("v2", "concurrency_limits", fields["name"]), changed, operation=operation)
        return self.get(api, fields, operation=operation, deadline=DEADLINE) or live

    def delete_live(self, api: PrefectApi, live: Fields, fields: Fields) -> None:
        api.delete(path("v2", "concurrency_limits", live["name"]), operation=self._operation("delete", fields))
