"""Variables, limits, queues and automations of the server in memory, with the habits of the real one.

A queue that claims a priority moves those that have it and come after it; the default queue cannot be deleted. An
automation gets ids in its triggers, its sets come back in any order, defaults are filled in, and two may have the same
name.
"""

from __future__ import annotations

import copy
import uuid
from typing import Any

Json = dict[str, Any]

_EVENT = {
    "match": {},
    "match_related": {},
    "after": [],
    "expect": [],
    "for_each": [],
    "threshold": 1,
}
_RUN = {"source": "selected", "deployment_id": None, "parameters": None, "job_variables": None, "schedule_after": 0.0}
_CHANGE = {"name": None, "message": None, "force": False}


class FakeObjects:
    def __init__(self) -> None:
        self.variables: dict[str, Json] = {}
        self.limits: dict[str, Json] = {}
        self.queues: dict[tuple[str, str], Json] = {}
        self.automations: dict[str, Json] = {}
        self.owned: dict[str, str] = {}

    def route(  # noqa: PLR0911  a table of addresses
        self, method: str, parts: list[str], body: Any
    ) -> tuple[int, Any] | None:
        match (method, parts):
            case ("POST", ["variables"]):
                return _made(self.variables, body["name"], body)
            case (_, ["variables", "name", name]):
                return _one(self.variables, name, method, body)
            case ("POST", ["v2", "concurrency_limits"]):
                full = {"active": True, "slot_decay_per_second": 0.0, "active_slots": 0, **body}
                return _made(self.limits, body["name"], full)
            case (_, ["v2", "concurrency_limits", name]):
                return _one(self.limits, name, method, body)
            case ("POST", ["work_pools", pool, "queues", "filter"]):
                return 200, [queue for (of, _), queue in self.queues.items() if of == pool]
            case ("POST", ["work_pools", pool, "queues"]):
                return self._post_queue(pool, body)
            case (_, ["work_pools", pool, "queues", name]):
                return self._one_queue(pool, name, method, body)
            case (_, ["automations", *rest]):
                return self._automations(method, rest, body)
        return None

    def _post_queue(self, pool: str, body: Json) -> tuple[int, Any]:
        taken = {queue["priority"] for (of, _), queue in self.queues.items() if of == pool}
        free = next(rank for rank in range(1, len(taken) + 2) if rank not in taken)
        values = {name: value for name, value in body.items() if value is not None}
        full = {"concurrency_limit": None, "is_paused": False, "description": "", "priority": free, **values}
        status, made = _made(self.queues, (pool, body["name"]), full)
        if status == 201 and body.get("priority"):
            self._make_room(pool, made)
        return status, made

    def _one_queue(self, pool: str, name: str, method: str, body: Any) -> tuple[int, Any]:
        if method == "DELETE" and name == "default":
            return 500, {"exception_message": "Internal Server Error"}
        status, reply = _one(self.queues, (pool, name), method, body)
        if status == 204 and (body or {}).get("priority"):
            self._make_room(pool, self.queues[pool, name])
        return status, reply

    def _make_room(self, pool: str, claims: Json) -> None:
        others = [queue for (of, _), queue in self.queues.items() if of == pool and queue is not claims]
        others.sort(key=lambda queue: queue["priority"])
        last = 0
        waiting = True
        for queue in others:
            if waiting and queue["priority"] >= claims["priority"]:
                last, waiting = claims["priority"], False
            queue["priority"] = last = max(queue["priority"], last + 1)

    def _automations(self, method: str, rest: list[str], body: Any) -> tuple[int, Any]:
        match (method, rest):
            case ("POST", []):
                made = {"id": str(uuid.uuid4()), "description": "", "enabled": True, "tags": [], **_filled(body)}
                owner = made.pop("owner_resource", None)
                if owner:
                    self.owned[made["id"]] = owner
                self.automations[made["id"]] = made
                return 201, made
            case ("POST", ["filter"]):
                names = body["automations"]["name"]["any_"]
                return 200, [item for item in self.automations.values() if item["name"] in names]
            case ("GET", ["related-to", resource]):
                return 200, [item for id_, item in self.automations.items() if self.owned.get(id_) == resource]
            case ("PUT", [id_]):
                if id_ not in self.automations:
                    return 404, {"detail": "Automation not found"}
                assert "owner_resource" not in body
                self.automations[id_] |= _filled(body)
                return 204, None
            case (_, [id_]):
                return _one(self.automations, id_, method, body)
        raise AssertionError(f"the fake does not know {method} {rest}")


def _made(objects: dict[Any, Json], key: Any, body: Json) -> tuple[int, Any]:
    if key in objects:
        return 409, {"detail": "It already exists."}
    objects[key] = {"id": str(uuid.uuid4()), **body}
    return 201, objects[key]


def _one(objects: dict[Any, Json], key: Any, method: str, body: Any) -> tuple[int, Any]:
    if key not in objects:
        return 404, {"detail": "not found"}
    if method == "GET":
        return 200, objects[key]
    if method == "DELETE":
        del objects[key]
    else:
        objects[key] |= body
    return 204, None


def _filled(body: Json) -> Json:
    body = copy.deepcopy(body)
    body["trigger"] = _trigger(body["trigger"])
    for name in ("actions", "actions_on_trigger", "actions_on_resolve"):
        body[name] = [_action(action) for action in body.get(name, [])]
    return body


def _trigger(raw: Json) -> Json:
    filled: Json = {"id": str(uuid.uuid4())}
    # The real server has defaults for all but these.
    assert ("posture" in raw) if raw["type"] == "event" else {"within", "triggers"} <= set(raw)
    if raw["type"] == "event":
        filled |= {**_EVENT, "within": 10.0 if raw.get("posture") == "Proactive" else 0.0, **raw}
        for name in ("after", "expect", "for_each"):
            filled[name] = list(reversed(filled[name]))
        filled["within"] = float(filled["within"])
    else:
        filled |= {**raw, "triggers": [_trigger(child) for child in raw["triggers"]]}
    return filled


def _action(raw: Json) -> Json:
    defaults = {"run-deployment": _RUN, "change-flow-run-state": _CHANGE}
    return {**defaults.get(raw["type"], {}), **raw}
