"""Small fakes of the Kubernetes API and of the Prefect API, which answer HTTP requests."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx

from ephemeral_dask.contract import labels
from ops.kubernetes import Kubernetes
from ops.prefect import Prefect

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RUN = "00000000-0000-4000-8000-000000000001"


def at(seconds_ago: float) -> str:
    return (NOW - timedelta(seconds=seconds_ago)).strftime("%Y-%m-%dT%H:%M:%SZ")


def cluster(name: str = "etl", *, age: float = 100, owner: str | None = "u1", **metadata: Any) -> dict[str, Any]:
    owners = [{"kind": "Job", "name": "job", "uid": owner}] if owner else []
    own = {"name": name, "uid": f"uid-{name}", "creationTimestamp": at(age), "ownerReferences": owners}
    return {"metadata": own | {"labels": {labels.COMPONENT: labels.DASK_POD, labels.FLOW_RUN: "run-1"}} | metadata}


def worker_group(of: str, *, age: float = 100, owned: bool = False, **metadata: Any) -> dict[str, Any]:
    owners = [{"kind": "DaskCluster", "name": of, "uid": f"uid-{of}"}] if owned else []
    own = {"name": f"{of}-default", "uid": f"uid-{of}-default", "creationTimestamp": at(age), "ownerReferences": owners}
    return {"metadata": own | metadata, "spec": {"cluster": of}}


def flow_pod(
    phase: str, *, run: str = RUN, uid: str = "u1", age: float = 90, status: Any = None, **metadata: Any
) -> dict[str, Any]:
    own = {labels.JOB_UID: uid, labels.COMPONENT: labels.FLOW_RUN_POD, labels.PREFECT_FLOW_RUN: run}
    base = {"name": f"flow-{uid}", "uid": f"pod-{uid}", "labels": own, "creationTimestamp": at(age)}
    return {"metadata": base | metadata, "status": {"phase": phase, **(status or {})}}


def scheduler(of: str, *, ready: bool) -> dict[str, Any]:
    own = {"dask.org/cluster-name": of, "dask.org/component": "scheduler", labels.COMPONENT: labels.DASK_POD}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": {"name": "s", "labels": own}, "status": {"phase": "Running", "conditions": conditions}}


def job(
    condition: str = "", *, run: str = RUN, uid: str = "u1", age: float = 100, name: str = "job", **more: Any
) -> dict[str, Any]:
    conditions = [{"type": condition, "status": "True", **more}] if condition else []
    metadata = {"name": name, "uid": uid, "creationTimestamp": at(age), "labels": {labels.PREFECT_FLOW_RUN: run}}
    return {"metadata": metadata, "status": {"conditions": conditions}}


def terminated(code: int, reason: str = "Error") -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": reason}}
    return {"containerStatuses": [{"name": "prefect-job", "state": state}]}


def waiting(reason: str, message: str, image: str = "registry/flow@sha256:0") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"containerStatuses": [{"name": "prefect-job", "image": image, "state": state}]}


@dataclass
class FakeKubernetes:
    """Answers lists page by page from `objects` by plural name and remembers what was changed."""

    objects: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    changes: list[tuple[str, str, Any]] = field(default_factory=list)
    selectors: set[str] = field(default_factory=set)
    largest_page: int = 0
    refuse: str = ""
    """Name of an object that may not be changed."""
    log: str = ""
    is_up: bool = True

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if not self.is_up:
            raise httpx.ConnectError("refused", request=request)
        match = re.fullmatch(r"/apis?/(?:.+/)?v1/namespaces/flows/(\w+)(?:/([\w.-]+))?(/log)?", request.url.path)
        assert match, request.url
        plural, name, log = match.groups()
        if log:
            # Without it, the API refuses the request for a pod with two containers.
            assert request.url.params["container"] == "prefect-job"
            return httpx.Response(200, text=self.log)
        if request.method != "GET":
            return self._change(request, plural, name)
        if name is None:
            return self._list(request, plural)
        there = [each for each in self.objects.get(plural, []) if _metadata(each).get("name") == name]
        return httpx.Response(200, json=there[0]) if there else httpx.Response(404, text="not found")

    def _change(self, request: httpx.Request, plural: str, name: str) -> httpx.Response:
        if name == self.refuse:
            return httpx.Response(403, text="not allowed")
        self.changes.append((request.method, f"{plural}/{name}", json.loads(request.content)))
        return httpx.Response(200, json={})

    def _list(self, request: httpx.Request, plural: str) -> httpx.Response:
        params = request.url.params
        self.selectors.add(params.get("labelSelector", ""))
        items = self.objects.get(plural, [])
        if plural == "pods":
            is_flow = f"={labels.FLOW_RUN_POD}" in params["labelSelector"]
            items = [each for each in items if ("dask.org/component" not in _labels(each)) == is_flow]
        if plural == "events":
            uid = params["fieldSelector"].partition("involvedObject.uid=")[2].partition(",")[0]
            items = [each for each in items if each["involvedObject"]["uid"] == uid]
        start, limit = int(params.get("continue", 0)), int(params["limit"])
        page = items[start : start + limit]
        self.largest_page = max(self.largest_page, len(page))
        more = {"continue": str(start + limit)} if start + limit < len(items) else {}
        body = {"metadata": more, "items": page}
        return httpx.Response(200, json=body, headers={"date": format_datetime(NOW, usegmt=True)})

    @property
    def client(self) -> Kubernetes:
        return Kubernetes("flows", httpx.Client(base_url="https://api", transport=httpx.MockTransport(self)))

    def deleted(self) -> list[str]:
        return [name for method, name, _ in self.changes if method == "DELETE"]


def _metadata(item: dict[str, Any]) -> dict[str, Any]:
    metadata = item.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _labels(item: dict[str, Any]) -> Any:
    return _metadata(item).get("labels") or {}


_TIMES = ("expected_start_time", "next_scheduled_start_time", "start_time", "end_time")


def _is_of_type(state: dict[str, Any], query: Any) -> bool:
    types, names = query.get("type", {}), query.get("name", {})
    return (
        state["type"] in types.get("any_", [state["type"]])
        and state["name"] in names.get("any_", [state["name"]])
        and state["name"] not in names.get("not_any_", [])
    )


def _is_at(run: dict[str, Any], query: Any) -> bool:
    """Whether a run's times are within those of a query. Without a start, Prefect compares the expected one."""
    for name in _TIMES:
        bounds = query.get(name, {})
        time = run.get(name) or (run.get("expected_start_time") if name == "start_time" else None)
        if bounds.get("is_null_") is False and not run.get(name):
            return False
        for bound, sign in (("after_", 1), ("before_", -1)):
            if bound in bounds and not (
                time
                and sign * (datetime.fromisoformat(time) - datetime.fromisoformat(bounds[bound])).total_seconds() >= 0
            ):
                return False
    return True


@dataclass
class FakePrefect:
    """A server with CSRF protection that keeps the states of a few runs."""

    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    heartbeats: dict[str, str] = field(default_factory=dict)
    proposals: list[tuple[str, str, str, bool]] = field(default_factory=list)
    """Id of the run, type of the state, message, and whether it was forced."""
    is_up: bool = True
    goes_away_at: str = ""
    """Part of the address of a request that gets no answer."""
    unanswered: int = 0
    changes_when_read_again: str = ""
    """State that a run has when it is read by its id."""
    token: str = "token"
    now: datetime = NOW
    paused: bool = False
    worker_heartbeats: list[str | None] = field(default_factory=list)
    released: list[str] = field(default_factory=list)
    """Ids of leases."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if not self.is_up:
            raise httpx.ConnectError("refused", request=request)
        if self.goes_away_at and self.goes_away_at in request.url.path:
            self.unanswered += 1
            raise httpx.ReadTimeout("no answer", request=request)
        dated = {"date": format_datetime(self.now, usegmt=True)}
        path = request.url.path.removeprefix("/api")
        if path == "/csrf-token":
            return httpx.Response(200, json={"token": self.token}, headers=dated)
        if request.method == "POST" and request.headers.get("prefect-csrf-token") != self.token:
            return httpx.Response(403, json={"detail": "Missing CSRF token."})
        body = json.loads(request.content) if request.content else {}
        if path == "/v2/concurrency_limits/decrement-with-lease":
            self.released.append(body["lease_id"])
            return httpx.Response(204, headers=dated)
        return httpx.Response(200, json=self._answer(path, body, request), headers=dated)

    def _answer(self, path: str, body: Any, request: httpx.Request) -> Any:
        if path == "/flow_runs/filter":
            runs = list(self._filtered(body))
            if body["sort"] == "NEXT_SCHEDULED_START_TIME_ASC":
                runs.sort(key=lambda run: run["next_scheduled_start_time"])
            start = body.get("offset", 0)
            return runs[start : start + body["limit"]]
        if path == "/flow_runs/count":
            return len(list(self._filtered(body)))
        if match := re.fullmatch(r"/work_pools/[\w%]+(/workers/filter)?", path):
            workers = [{"last_heartbeat_time": each} for each in self.worker_heartbeats]
            return workers if match[1] else {"is_paused": self.paused}
        if path == "/flow_run_states/":
            return self.history[request.url.params["flow_run_id"]]
        if path == "/events/filter":
            run = body["filter"]["resource"]["id"][0].removeprefix("prefect.flow-run.")
            return {"events": [{"occurred": self.heartbeats[run]}] if run in self.heartbeats else []}
        run, _, verb = path.removeprefix("/flow_runs/").partition("/")
        assert verb == "set_state", path
        self.proposals.append((run, body["state"]["type"], body["state"]["message"], body["force"]))
        self.state(run, **body["state"])
        return {"status": "ACCEPT"}

    def _filtered(self, body: Any) -> Iterator[dict[str, Any]]:
        query = body["flow_runs"]
        for run in self.runs.values():
            state = run["state"]
            if "id" in query:
                if self.changes_when_read_again:
                    self.state(run["id"], type=self.changes_when_read_again)
                if run["id"] in query["id"]["any_"]:
                    yield run
                continue
            if run["work_pool_name"] not in body["work_pools"]["name"]["any_"]:
                continue
            if _is_of_type(state, query.get("state", {})) and _is_at(run, query):
                yield run

    def add(self, type: str, id: str = RUN, *, pid: str = "flows:job", age: float = 100, **more: Any) -> None:  # noqa: A002
        self.runs[id] = {
            "id": id,
            "name": "tidy-otter",
            "work_pool_name": more.pop("pool", "dask"),
            "infrastructure_pid": pid or None,
            "empirical_policy": {"retry_type": more.pop("retry_type", None)},
            **{name: more.pop(name) for name in _TIMES if name in more},
        }
        self.state(id, type=type, age=age, **more)

    def state(
        self,
        run: str,
        *,
        type: str,  # noqa: A002  Prefect's word
        name: str = "",
        message: str | None = None,
        age: float = 0,
        lease: str | None = None,
    ) -> None:
        state = {
            "id": str(uuid.uuid4()),
            "type": type,
            "name": name or type.capitalize(),
            "message": message,
            "timestamp": at(age).replace("Z", "+00:00"),
            "state_details": {"deployment_concurrency_lease_id": lease},
        }
        self.runs[run]["state"] = state
        self.history.setdefault(run, []).append(state)

    @property
    def client(self) -> Prefect:
        return Prefect(httpx.Client(base_url="http://server/api", transport=httpx.MockTransport(self)))
