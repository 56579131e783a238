"""The work queue: a lane of a work pool with a priority, a limit and a pause of its own."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

import pulumi
from pulumi import Input, Output
from pulumi.dynamic import Resource

from infra.registration.api import DEADLINE, PrefectApi, path
from infra.registration.endpoint import ApiEndpoint, to_props
from infra.registration.ownership import split_owner_line, with_owner_line
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
        endpoint: where the Prefect API is.
        work_pool_name: the pool it belongs to; as an output of the `WorkPool` it puts the pool first.
        name: unique within the pool.
        description: shown in Prefect's UI.
        concurrency_limit: runs of the queue that may be under way at the same time; no limit when unset.
        priority: 1 is served first; unique within the pool. None takes the one that Prefect gives.
        is_paused: None leaves it to whoever pauses and resumes it.

    """

    endpoint: ApiEndpoint
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
        REACH: to_props(args.endpoint),
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
    key_fields = ("work_pool_name", "name")
    computed = ("queue_id",)

    def get(self, api: PrefectApi, fields: Fields, *, operation: str, deadline: float) -> Fields | None:
        found: Fields | None = api.get(_at(fields), operation=operation, deadline=deadline)
        return found

    def from_api(self, live: Fields, declared: Fields) -> Fields:
        text, _ = split_owner_line(live.get("description") or "")
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
        return split_owner_line(live.get("description") or "")[1]

    def create_live(self, api: PrefectApi, fields: Fields) -> Fields:
        with _one_at_a_time:
            before = self._ranks(api, fields)
            body = {"name": fields["name"], **_body(fields, _written(fields))}
            made = self.create_or_adopt(api, f"{path('work_pools', fields['work_pool_name'], 'queues')}", body, fields)
            self._put_back(api, fields, before)
        return made

    def update_live(self, api: PrefectApi, live: Fields, fields: Fields) -> Fields:
        changed = self.fields_to_write(live, fields, _written(fields), mark="description")
        if not changed:
            return live
        operation = self._operation("update", fields)
        with _one_at_a_time:
            before = self._ranks(api, fields) if "priority" in changed else {}
            api.patch(_at(fields), _body(fields, changed), operation=operation)
            self._put_back(api, fields, before)
        return self.get(api, fields, operation=operation, deadline=DEADLINE) or live

    def delete_live(self, api: PrefectApi, live: Fields, fields: Fields) -> None:
        operation = self._operation("delete", fields)
        pool = api.get(path("work_pools", fields["work_pool_name"]), operation=operation)
        if pool and pool.get("default_queue_id") == live["id"]:
            # A pool cannot be without its default queue, which goes with the pool: give it back as it came.
            api.patch(
                _at(fields), {"description": "", "concurrency_limit": None, "is_paused": False}, operation=operation
            )
        else:
            api.delete(_at(fields), operation=operation)

    def _ranks(self, api: PrefectApi, fields: Fields) -> dict[str, int]:
        """Return the priorities of the other queues of this stack, when this queue is about to claim one."""
        if fields.get("priority") is None:
            return {}
        where = f"{path('work_pools', fields['work_pool_name'], 'queues')}/filter"
        queues = api.post(where, {}, operation=self._operation("register", fields))
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
                    api.patch(where, {"priority": rank}, operation=self._operation("update", fields))


def _at(fields: Fields) -> str:
    return path("work_pools", fields["work_pool_name"], "queues", fields["name"])


def _written(fields: Fields) -> list[str]:
    return [name for name in _WRITABLE if not _passed_over(name, fields)]


def _passed_over(name: str, declared: Fields) -> bool:
    return name in _LEFT_ALONE and declared.get(name) is None


def _body(fields: Fields, names: list[str]) -> Fields:
    body = {name: fields.get(name) for name in names}
    if "description" in body:
        body["description"] = with_owner_line(body["description"] or "", stack_of(fields[OWNER]))
    return body
