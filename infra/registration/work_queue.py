"""The work queue: part of a work pool with its own priority, concurrency limit and pause switch."""

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

_UNMANAGED: Final = ("priority", "is_paused")
"""Fields that are neither compared nor written unless they are declared."""

_WRITABLE: Final = ("description", "concurrency_limit", *_UNMANAGED)

_priorities = threading.Lock()
"""A new priority of one queue moves others of its pool, so only one thread at a time writes queues."""


@dataclass(frozen=True, kw_only=True)
class WorkQueueArgs:
    """A work queue.

    Attributes:
        endpoint: address of the Prefect API.
        work_pool_name: its work pool. Pass an output of the `WorkPool`, so that the pool is created first.
        name: unique within the pool.
        description: text in Prefect's UI.
        concurrency_limit: active runs of the queue at the same time; no limit if None.
        priority: unique within the pool; 1 is served first. None keeps what Prefect assigns.
        is_paused: None keeps what a person has set in Prefect.

    """

    endpoint: ApiEndpoint
    work_pool_name: Input[str]
    name: str
    description: str = ""
    concurrency_limit: int | None = None
    priority: int | None = None
    is_paused: bool | None = None


class WorkQueue(Resource, module="prefect", name="WorkQueue"):
    """A work queue in Prefect. An existing one of that name in the pool is adopted."""

    name: Output[str]
    queue_id: Output[str]
    """Prefect's id."""

    def __init__(self, name: str, args: WorkQueueArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(WorkQueueProvider(), name, inputs(args, owner(name)) | {"queue_id": None}, opts)


def inputs(args: WorkQueueArgs, mark: str) -> dict[str, Any]:
    """Return the resource's inputs.

    Args:
        args: the queue.
        mark: the owner; see `provider.owner`.

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
    """Registers work queues. The owner is the last line of the description."""

    noun = "work queue"
    key_fields = ("work_pool_name", "name")
    computed = ("queue_id",)

    def get(self, api: PrefectApi, fields: Fields, *, operation: str, deadline: float) -> Fields | None:
        live: Fields | None = api.get(_at(fields), operation=operation, deadline=deadline)
        return live

    def from_api(self, live: Fields, declared: Fields) -> Fields:
        text, _ = split_owner_line(live.get("description") or "")
        current = {
            "work_pool_name": declared["work_pool_name"],
            "name": live["name"],
            "description": text or None,
            "concurrency_limit": live.get("concurrency_limit"),
            "priority": live["priority"],
            "is_paused": live["is_paused"],
            "queue_id": live["id"],
        }
        return {name: value for name, value in current.items() if not _is_unmanaged(name, declared)}

    def is_adoptable(self, fields: Fields) -> bool:  # noqa: ARG002  of no queue
        """Return True: a queue belongs to its pool, and Prefect creates some by itself."""
        return True

    def owner_of(self, live: Fields) -> str:
        return split_owner_line(live.get("description") or "")[1]

    def create_live(self, api: PrefectApi, fields: Fields) -> Fields:
        with _priorities:
            before = self._priorities(api, fields)
            body = {"name": fields["name"], **_body(fields, _writable(fields))}
            live = self.create_or_adopt(api, f"{path('work_pools', fields['work_pool_name'], 'queues')}", body, fields)
            self._restore_priorities(api, fields, before)
        return live

    def update_live(self, api: PrefectApi, live: Fields, fields: Fields) -> Fields:
        changed = self.fields_to_write(live, fields, _writable(fields), mark="description")
        if not changed:
            return live
        operation = self._operation("update", fields)
        with _priorities:
            before = self._priorities(api, fields) if "priority" in changed else {}
            api.patch(_at(fields), _body(fields, changed), operation=operation)
            self._restore_priorities(api, fields, before)
        return self.get(api, fields, operation=operation, deadline=DEADLINE) or live

    def delete_live(self, api: PrefectApi, live: Fields, fields: Fields) -> None:
        operation = self._operation("delete", fields)
        pool = api.get(path("work_pools", fields["work_pool_name"]), operation=operation)
        if pool and pool.get("default_queue_id") == live["id"]:
            # Prefect deletes a pool's default queue only with the pool: reset it.
            api.patch(
                _at(fields), {"description": "", "concurrency_limit": None, "is_paused": False}, operation=operation
            )
        else:
            api.delete(_at(fields), operation=operation)

    def _priorities(self, api: PrefectApi, fields: Fields) -> dict[str, int]:
        """Return the priorities of this stack's queues if this queue is about to claim one."""
        if fields.get("priority") is None:
            return {}
        where = f"{path('work_pools', fields['work_pool_name'], 'queues')}/filter"
        queues = api.post(where, {}, operation=self._operation("register", fields))
        ours = stack_of(fields[OWNER])
        return {item["name"]: item["priority"] for item in queues or [] if self.owner_of(item) == ours}

    def _restore_priorities(self, api: PrefectApi, fields: Fields, before: dict[str, int]) -> None:
        """Restore the priorities of this stack's queues that the server has moved to make room for this one.

        Queues that are not declared, such as the pool's `default`, move instead.
        """
        if not before:
            return
        after, moved = self._priorities(api, fields), False
        for name, priority in sorted(before.items(), key=lambda item: item[1]):
            # A queue whose priority was claimed is about to get another one from its own resource.
            if name != fields["name"] and priority != fields["priority"]:
                moved = moved or after.get(name, priority) != priority
                if moved:
                    where = path("work_pools", fields["work_pool_name"], "queues", name)
                    api.patch(where, {"priority": priority}, operation=self._operation("update", fields))


def _at(fields: Fields) -> str:
    return path("work_pools", fields["work_pool_name"], "queues", fields["name"])


def _writable(fields: Fields) -> list[str]:
    return [name for name in _WRITABLE if not _is_unmanaged(name, fields)]


def _is_unmanaged(name: str, declared: Fields) -> bool:
    return name in _UNMANAGED and declared.get(name) is None


def _body(fields: Fields, names: list[str]) -> Fields:
    body = {name: fields.get(name) for name in names}
    if "description" in body:
        body["description"] = with_owner_line(body["description"] or "", stack_of(fields[OWNER]))
    return body
