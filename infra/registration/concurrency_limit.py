"""The global concurrency limit: how many holders a named resource may have at the same time, in all runs together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi import Output
from pulumi.dynamic import Resource

from infra.registration.api import DEADLINE, PrefectApi, path
from infra.registration.endpoint import Reach, to_props
from infra.registration.provider import OWNER, REACH, Fields, PrefectProvider, owner

_WRITABLE: Final = ("limit", "slot_decay_per_second", "active")


@dataclass(frozen=True, kw_only=True)
class GlobalConcurrencyLimitArgs:
    """A global concurrency limit.

    Attributes:
        reach: where the Prefect API is.
        name: which `concurrency(...)` and `rate_limit(...)` in a flow refer to; `tag:<tag>` limits the runs of
            tasks with that tag.
        limit: slots.
        slot_decay_per_second: slots freed per second by themselves, for a rate limit.
        active: whether it is enforced; None leaves it to whoever switches it, and a new one is.

    """

    reach: Reach
    name: str
    limit: int
    slot_decay_per_second: float = 0
    active: bool | None = None


class GlobalConcurrencyLimit(Resource, module="prefect", name="GlobalConcurrencyLimit"):
    """A global concurrency limit in Prefect, adopted if one of that name exists.

    Prefect gives it no place for a mark of ownership: whoever declares it is taken for its owner, so two stacks on
    one server must not declare the same name.
    """

    name: Output[str]
    limit_id: Output[str]
    """Prefect's own id."""

    def __init__(self, name: str, args: GlobalConcurrencyLimitArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = inputs(args, owner(name)) | {"limit_id": None}
        super().__init__(GlobalConcurrencyLimitProvider(), name, props, opts)


def inputs(args: GlobalConcurrencyLimitArgs, mark: str) -> dict[str, Any]:
    """Return the resource's inputs.

    Args:
        args: the limit.
        mark: of ownership.

    """
    return {
        REACH: to_props(args.reach),
        OWNER: mark,
        "name": args.name,
        "limit": args.limit,
        "slot_decay_per_second": args.slot_decay_per_second,
        "active": args.active,
    }


class GlobalConcurrencyLimitProvider(PrefectProvider):
    """See `PrefectProvider`; there is no mark of ownership."""

    noun = "global concurrency limit"
    identity = ("name",)
    answers = ("limit_id",)
    adoption_note = "Prefect cannot tell whose it is, so see that no other stack declares it."

    def find(self, api: PrefectApi, fields: Fields, *, doing: str, deadline: float) -> Fields | None:
        """See base."""
        where = path("v2", "concurrency_limits", fields["name"])
        found: Fields | None = api.get(where, doing=doing, deadline=deadline)
        return found

    def observe(self, live: Fields, declared: Fields) -> Fields:
        """See base."""
        kept = [name for name in _WRITABLE if name != "active" or declared.get("active") is not None]
        return {"name": live["name"], **{name: live[name] for name in kept}, "limit_id": live["id"]}

    def owner_of(self, live: Fields) -> str:  # noqa: ARG002  it has no place for one
        """See base."""
        return ""

    def make(self, api: PrefectApi, fields: Fields) -> Fields:
        """See base."""
        given = {name: fields[name] for name in ("name", *_WRITABLE) if fields.get(name) is not None}
        return self.made(api, "/v2/concurrency_limits/", given, fields)

    def amend(self, api: PrefectApi, live: Fields, fields: Fields) -> Fields:
        """See base."""
        seen = self.observe(live, fields)
        changed = {
            name: fields[name] for name in _WRITABLE if fields.get(name) is not None and seen.get(name) != fields[name]
        }
        if not changed:
            return live
        doing = self._doing("update", fields)
        api.patch(path("v2", "concurrency_limits", fields["name"]), changed, doing=doing)
        return self.find(api, fields, doing=doing, deadline=DEADLINE) or live

    def remove(self, api: PrefectApi, live: Fields, fields: Fields) -> None:
        """See base."""
        api.delete(path("v2", "concurrency_limits", live["name"]), doing=self._doing("delete", fields))
