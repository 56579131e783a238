"""A Prefect server in memory, and the providers called as the engine calls them."""

from __future__ import annotations

import copy
import itertools
import json
import uuid
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from infra.registration import session
from infra.registration.api import PrefectApi
from tests.marshal import marshalled

from .fake_objects import FakeObjects

Json = dict[str, Any]


class FakePrefect:
    """Prefect's REST API as far as it is used, with the habits of the real one that matter here.

    A POST of a deployment replaces its schedules, a PATCH of one throws its scheduled runs away, a PATCH of a
    schedule without parameters empties them, a rule without start gets one, a PATCH that names a missing pool is
    answered with 500, and a new deployment enforces its schema unless it says otherwise.
    """

    def __init__(self) -> None:
        self.flows: dict[str, Json] = {}
        self.deployments: dict[str, Json] = {}
        self.pools: dict[str, Json] = {}
        self.objects = FakeObjects()
        self.requests: list[tuple[str, str, Any]] = []
        self.runs_thrown_away = 0
        self.waiting = 0
        self.enforces_by_itself = True

    @property
    def writes(self) -> list[tuple[str, str, Any]]:
        return [
            request
            for request in self.requests
            if request[0] != "GET" and not request[1].endswith(("/filter", "/count"))
        ]

    def forget_requests(self) -> None:
        self.requests.clear()

    def deployment(self, flow: str, name: str) -> Json | None:
        flow_id = self.flows.get(flow, {}).get("id")
        matches = (d for d in self.deployments.values() if (d["flow_id"], d["name"]) == (flow_id, name))
        return next(matches, None)

    def answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        parts = [part for part in request.url.path.removeprefix("/api").split("/") if part]
        self.requests.append((request.method, "/" + "/".join(parts), body))
        status, reply = self._route(request.method, parts, copy.deepcopy(body))
        return httpx.Response(status, json=reply) if reply is not None else httpx.Response(status)

    def _route(  # noqa: PLR0911, PLR0912  a table of addresses
        self, method: str, parts: list[str], body: Any
    ) -> tuple[int, Any]:
        answer = self.objects.route(method, parts, body)
        if answer is not None:
            return answer
        match (method, parts):
            case ("GET", ["health"]):
                return 200, True
            case ("GET", ["admin", "version"]):
                return 200, "3.8.8"
            case ("POST", ["flows"]):
                flow = self.flows.setdefault(body["name"], {"id": str(uuid.uuid4()), "name": body["name"]})
                return 201, flow
            case ("GET", ["deployments", "name", flow, name]):
                live = self.deployment(flow, name)
                return (200, live) if live else (404, {"detail": "Deployment not found"})
            case ("POST", ["flows" | "deployments" as kind, "count"]):
                return 200, len(getattr(self, kind))
            case ("POST", ["flows" | "deployments" as kind, "filter"]):
                return 200, list(getattr(self, kind).values())
            case ("POST", ["flow_runs", "count"]):
                return 200, self.waiting
            case ("POST", ["deployments"]):
                return self._post_deployment(body)
            case ("PATCH", ["deployments", id_]):
                return self._patch_deployment(self.deployments[id_], body)
            case ("DELETE", ["deployments", id_]):
                return (204, None) if self.deployments.pop(id_, None) else (404, {"detail": "Deployment not found"})
            case ("POST", ["deployments", id_, "schedules"]):
                added = [self._schedule(item) for item in body]
                self.deployments[id_]["schedules"] += added
                return 201, added
            case ("PATCH", ["deployments", id_, "schedules", schedule]):
                self.runs_thrown_away += 1
                return self._patch_schedule(self.deployments[id_], schedule, body)
            case ("DELETE", ["deployments", id_, "schedules", schedule]):
                self.runs_thrown_away += 1
                kept = [item for item in self.deployments[id_]["schedules"] if item["id"] != schedule]
                self.deployments[id_]["schedules"] = kept
                return 204, None
            case ("POST", ["work_pools"]):
                if body["name"] in self.pools:
                    return 409, {"detail": "A work pool with this name already exists."}
                pool = {"id": str(uuid.uuid4()), "is_paused": False, "concurrency_limit": None, **body}
                return 201, self.pools.setdefault(body["name"], pool)
            case ("GET", ["work_pools", name]):
                if name not in self.pools:
                    return 404, {"detail": f'Work pool "{name}" not found.'}
                return 200, self.pools[name]
            case ("PATCH", ["work_pools", name]):
                self.pools[name] |= body
                return 204, None
            case ("DELETE", ["work_pools", name]):
                return (204, None) if self.pools.pop(name, None) else (404, {"detail": "not found"})
        raise AssertionError(f"the fake does not know {method} {parts}")

    def _post_deployment(self, body: Json) -> tuple[int, Any]:
        if body["work_pool_name"] not in self.pools:
            return 404, {"detail": f'Work pool "{body["work_pool_name"]}" not found.'}
        flow = next(flow for flow in self.flows.values() if flow["id"] == body["flow_id"])
        live = self.deployment(flow["name"], body["name"])
        if live:
            self.runs_thrown_away += 1
        limit = body.pop("concurrency_limit", None)
        deployment = {
            "paused": False,
            "version": None,
            "enforce_parameter_schema": self.enforces_by_itself,
            **(live or {"id": str(uuid.uuid4())}),
            **body,
            "concurrency_limit": None,
            "global_concurrency_limit": {"limit": limit} if limit else None,
            "schedules": [self._schedule(item) for item in body["schedules"]],
            "labels": {"prefect.flow.id": flow["id"], **body.get("labels", {})},
        }
        self.deployments[deployment["id"]] = deployment
        return 201, deployment

    def _patch_deployment(self, live: Json, body: Json) -> tuple[int, Any]:
        if body.get("work_pool_name", live["work_pool_name"]) not in self.pools:
            return 500, {"exception_message": "Internal Server Error"}
        self.runs_thrown_away += 1
        if "concurrency_limit" in body:
            limit = body.pop("concurrency_limit")
            live["global_concurrency_limit"] = {"limit": limit} if limit else None
        if body.get("work_pool_name") and "work_queue_name" not in body:
            body["work_queue_name"] = "default"
        if "schedules" in body:
            assert not all(item["slug"] for item in live["schedules"]), "the real one would keep them"
            body["schedules"] = [self._schedule(item) for item in body["schedules"]]
        live |= body
        return 204, None

    def _schedule(self, item: Json) -> Json:
        when = dict(item["schedule"])
        if "interval" in when:
            when = {"anchor_date": "2026-11-24T04:03:58.782847Z", "timezone": "UTC", **when}
            when["interval"] = float(when["interval"])
        if "rrule" in when and "DTSTART" not in when["rrule"].upper():
            when["rrule"] = f"DTSTART:20200101T000000\n{when['rrule']}"
        filled: Json = {"id": str(uuid.uuid4()), "slug": None, "active": True, "parameters": {}}
        return {**filled, **item, "schedule": when}

    def _patch_schedule(self, live: Json, id_: str, body: Json) -> tuple[int, Any]:
        for item in live["schedules"]:
            if item["id"] == id_:
                changes = {name: value for name, value in body.items() if value is not None}
                item |= {"parameters": {}, **changes, "schedule": self._schedule(body)["schedule"]}
                return 204, None
        return 404, {"detail": "Schedule not found."}


class Engine:
    """What Pulumi's engine does with one resource: it marshals properties, asks for a diff, and keeps the state."""

    def __init__(self, provider: Any) -> None:
        self.provider = provider
        self.id: str | None = None
        self.state: Json = {}

    def marshalled(self, props: Json) -> Json:
        """Return properties as the provider's process gets them."""
        return marshalled(props)

    def up(self, props: Json) -> list[str]:
        """Bring the resource to `props`; return the fields that changed, nothing at the first time."""
        news = self.provider.check(self.state, self.marshalled(props)).inputs
        if self.id is None:
            created = self.provider.create(news)
            self.id, self.state = created.id, self.marshalled(created.outs or {})
            return []
        changed: list[str] = self.provider.changed(self.state, news)
        assert self.provider.diff(self.id, self.state, news).changes is bool(changed)
        if changed:
            self.state = self.marshalled(self.provider.update(self.id, self.state, news).outs or {})
        return changed

    def refresh(self) -> None:
        """Read the world into the state."""
        assert self.id is not None
        result = self.provider.read(self.id, self.state)
        self.id = result.id or None
        self.state = self.marshalled(result.outs)

    def diff(self, props: Json) -> list[str]:
        """Return the fields in which `props` differs from the state."""
        changed: list[str] = self.provider.changed(self.state, self.marshalled(props))
        return changed

    def destroy(self) -> None:
        """Delete the resource."""
        self.provider.delete(self.id, self.state)
        self.id = None


@pytest.fixture
def prefect(monkeypatch: pytest.MonkeyPatch) -> FakePrefect:
    """A server in memory that every provider reaches, and a provider's process that has just started."""
    fake = FakePrefect()

    def connect(_: Any) -> PrefectApi:
        client = httpx.Client(base_url="http://prefect.test/api", transport=httpx.MockTransport(fake.answer))
        return PrefectApi(lambda: client, "http://prefect.test/api", pause=lambda _: None)

    monkeypatch.setattr(session, "_connect", connect)
    for shared in ("_absent", "_adoptable", "_apis", "_claims", "_created", "_configuration"):
        monkeypatch.setattr(session, shared, type(getattr(session, shared))())
    return fake


@pytest.fixture
def adopting(prefect: FakePrefect, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001  which resets it
    """Let every object without an owner be adopted, as `adopt: ["*"]` in the stack file does."""
    monkeypatch.setattr(session, "_adoptable", ["*"])


@pytest.fixture
def new_process(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Forget what the provider's process remembers, as the end of a `pulumi up` does."""

    def forget() -> None:
        for shared in ("_absent", "_apis", "_claims", "_created"):
            monkeypatch.setattr(session, shared, type(getattr(session, shared))())

    return forget


@pytest.fixture
def engine(prefect: FakePrefect) -> Callable[[Any], Engine]:  # noqa: ARG001  no engine without its server
    """Make the engine's view of one resource."""
    return Engine


@pytest.fixture
def through_the_engine() -> Callable[[Json], Json]:
    """Marshal properties as the engine does."""
    return marshalled


@pytest.fixture
def unique_name() -> Callable[[], str]:
    """Give a name that was not used before."""
    numbers = itertools.count()
    return lambda: f"name-{next(numbers)}"
