"""The work queue: a lane of a work pool with a priority, a limit and a pause of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi import Input, Output
from pulumi.dynamic import Resource

from infra.registration.api import DEADLINE, PrefectApi, path
from infra.registration.endpoint import Reach, to_props
from infra.registration.ownership import described, undescribed
from infra.registration.provider import OWNER, REACH, Fields, PrefectProvider, owner, stack_of

_LEFT_ALONE: Final = ("priority", "is_paused")
"""Fields that are nobody's business here as long as they are not declared."""

_WRITABLE: Final = ("description", "concurrency_limit", *_LEFT_ALONE)

_one_at_a_time = threading.Lock()
"""Giving a queue a priority moves others of its pool, so two threads never do it at once."""


@dataclass(frozen=True, kw_only=True)
class WorkQueueArgs:
    """A work queue.

    Attributes:
        reach: where the Prefect API is.
        work_pool_name: the pool it belongs to; as an output of the `WorkPool` it puts the pool first.
        name: unique within the pool.
        description: shown in Prefect's UI.
        concurrency_limit: runs of the queue that may be under way at the same time; no limit when unset.
        priority: 1 is served first; unique within the pool. None takes the one that Prefect gives.
        is_paused: None leaves it to whoever pauses and resumes it.

    """

    reach: Reach
    work_pool_name: Input[str]
    name: str
    description: str = ""
    concurrency_limit: int | None = None
    priority: int | None = None
    is_paused: bool | None = None


class WorkQueue(Resource, module="prefect", name="WorkQueue"):
    """A work queue in Prefect, adopted if its pool has one of that name."""

    name: Output[str]
    queue_id: Output[str]
    """Prefect's own id."""

    def __init__(self, name: str, args: WorkQueueArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(WorkQueueProvider(), name, inputs(args, owner(name)) | {"queue_id": None}, opts)


def inputs(args: WorkQueueArgs, mark: str) -> dict[str, Any]:
    """Return the resource's inputs.

    Args:
        args: the queue.
        mark: of ownership.

    """
    return {
        REACH: to_props(args.reach),
        OWNER: mark,
        "work_pool_name": args.work_pool_name,
        "name": args.name,
        "description": args.description or None,
        "concurrency_limit": args.concurrency_limit,
        "priority": args.priority,
        "is_paused": args.is_paused,
    }


class WorkQueueProvider(PrefectProvider):
    """See `PrefectProvider`; the mark of ownership is the last line of the description."""

    noun = "work queue"
    identity = ("work_pool_name", "name")
    answers = ("queue_id",)

    def find(self, api: PrefectApi, fields: Fields, *, doing: str, deadline: float) -> Fields | None:
        """See base."""
        found: Fields | None = api.get(_at(fields), doing=doing, deadline=deadline)
        return found

    def observe(self, live: Fields, declared: Fields) -> Fields:
        """See base."""
        text, _ = undescribed(live.get("description") or "")
        seen = {
            "work_pool_name": declared["work_pool_name"],
            "name": live["name"],
            "description": text or None,
            "concurrency_limit": live.get("concurrency_limit"),
            "priority": live["priority"],
            "is_paused": live["is_paused"],
            "queue_id": live["id"],
        }
        return {name: value for name, value in seen.items() if not _passed_over(name, declared)}

    def owner_of(self, live: Fields) -> str:
        """See base."""
        return undescribed(live.get("description") or "")[1]

    def make(self, api: PrefectApi, fields: Fields) -> Fields:
        """See base."""
        with _one_at_a_time:
            before = self._ranks(api, fields)
            body = {"name": fields["name"], **_body(fields, _written(fields))}
            made = self.made(api, f"{path('work_pools', fields['work_pool_name'], 'queues')}", body, fields)
            self._put_back(api, fields, before)
        return made

    def amend(self, api: PrefectApi, live: Fields, fields: Fields) -> Fields:
        """See base."""
        changed = self.differing(live, fields, _written(fields), mark="description")
        if not changed:
            return live
        doing = self._doing("update", fields)
        with _one_at_a_time:
            before = self._ranks(api, fields) if "priority" in changed else {}
            api.patch(_at(fields), _body(fields, changed), doing=doing)
            self._put_back(api, fields, before)
        return self.find(api, fields, doing=doing, deadline=DEADLINE) or live

    def remove(self, api: PrefectApi, live: Fields, fields: Fields) -> None:
        """See base."""
        doing = self._doing("delete", fields)
        pool = api.get(path("work_pools", fields["work_pool_name"]), doing=doing)
        if pool and pool.get("default_queue_id") == live["id"]:
            # A pool cannot be without its default queue, which goes with the pool: give it back as it came.
            api.patch(_at(fields), {"description": "", "concurrency_limit": None, "is_paused": False}, doing=doing)
        else:
            api.delete(_at(fields), doing=doing)

    def _ranks(self, api: PrefectApi, fields: Fields) -> dict[str, int]:
        """Return the priorities of the other queues of this stack, when this queue is about to claim one."""
        if fields.get("priority") is None:
            return {}
        where = f"{path('work_pools', fields['work_pool_name'], 'queues')}/filter"
        queues = api.post(where, {}, doing=self._doing("register", fields))
        ours = stack_of(fields[OWNER])
        return {item["name"]: item["priority"] for item in queues or [] if self.owner_of(item) == ours}

    def _put_back(self, api: PrefectApi, fields: Fields, before: dict[str, int]) -> None:
        """Give queues of this stack the priorities that the server took from them to make room for this one.

        Those that nobody declares, such as the pool's `default`, make room instead.
        """
        if not before:
            return
        after, moved = self._ranks(api, fields), False
        for name, rank in sorted(before.items(), key=lambda item: item[1]):
            # One whose rank was claimed is about to get another itself.
            if name != fields["name"] and rank != fields["priority"]:
                moved = moved or after.get(name, rank) != rank
                if moved:
                    where = path("work_pools", fields["work_pool_name"], "queues", name)
                    api.patch(where, {"priority": rank}, doing=self._doing("update", fields))


def _at(fields: Fields) -> str:
    return path("work_pools", fields["work_pool_name"], "queues", fields["name"])


def _written(fields: Fields) -> list[str]:
    return [name for name in _WRITABLE if not _passed_over(name, fields)]


def _passed_over(name: str, declared: Fields) -> bool:
    return name in _LEFT_ALONE and declared.get(name) is None


def _body(fields: Fields, names: list[str]) -> Fields:
    body = {name: fields.get(name) for name in names}
    if "description" in body:
        body["description"] = described(body["description"] or "", stack_of(fields[OWNER]))
    return body
