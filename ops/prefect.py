"""The reconciler's requests to the Prefect API, with its pod's credential."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import quote

import httpx

from ephemeral_dask.contract import secrets
from ops.fields import Object, mapping, text, time_of

ACTIVE: Final = ("RUNNING", "PENDING", "CANCELLING")
FINAL: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED", "CRASHED"})
HEARTBEAT: Final = "prefect.flow-run.heartbeat"
"""Event that a flow's process sends every `PREFECT_FLOWS_HEARTBEAT_FREQUENCY` seconds."""

_PAGE: Final = 200
"""Runs of one response, the most that a server returns."""

_TIMEOUT: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowRun:
    """A flow run.

    Attributes:
        id: of the run.
        name: of the run.
        pool: its work pool.
        state_id: id of its state, which changes with each transition.
        type: of its state, such as `RUNNING`.
        state: name of its state.
        message: of its state, or empty.
        since: when it entered the state, in the server's time.
        pid: the infrastructure that its worker has recorded, `<namespace>:<Job>`, or empty.
        retries_in_process: whether its own process repeats it, so that no worker ever submits it.
        expected: when it was to start.
        started: when it was Running for the first time, if it was.
        ended: when it entered its final state, if it has one.

    """

    id: str
    name: str
    pool: str
    state_id: str
    type: str
    state: str
    message: str
    since: datetime
    pid: str
    retries_in_process: bool
    expected: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkPool:
    """A work pool.

    Attributes:
        paused: whether no run of it starts.
        heartbeat: the last one of its workers, if there was one.

    """

    paused: bool
    heartbeat: datetime | None


class Prefect:
    """Requests about the flow runs of some work pools.

    Every method raises httpx.HTTPError if the server refuses or does not answer.
    """

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.now = datetime.min.replace(tzinfo=UTC)
        """The server's time of the last response."""

    @classmethod
    def of_environment(cls) -> Prefect:
        """Use the address and the credential of the environment, as every client of Prefect does."""
        headers, auth = {}, None
        if key := os.environ.get(secrets.API_KEY):
            headers["authorization"] = f"Bearer {key}"
        elif string := os.environ.get(secrets.AUTH_STRING):
            user, _, password = string.partition(":")
            auth = httpx.BasicAuth(user, password)
        return cls(httpx.Client(base_url=os.environ["PREFECT_API_URL"], headers=headers, auth=auth, timeout=_TIMEOUT))

    def live_runs(self, pools: Iterable[str]) -> Iterator[FlowRun]:
        """Yield the runs of these pools that have a process, or should have one."""
        awaiting = {"type": {"any_": ["SCHEDULED"]}, "name": {"any_": ["AwaitingRetry"]}}
        pool_filter = {"name": {"any_": list(pools)}}
        for state in ({"type": {"any_": list(ACTIVE)}}, awaiting):
            yield from self._runs({"work_pools": pool_filter, "flow_runs": {"state": state}})

    def runs(self, ids: Sequence[str]) -> Iterator[FlowRun]:
        """Yield the runs with these ids; unknown ids are left out."""
        for start in range(0, len(ids), _PAGE):
            yield from self._runs({"flow_runs": {"id": {"any_": list(ids[start : start + _PAGE])}}})

    def runs_after(self, pools: Iterable[str], field: str, after: datetime) -> Iterator[FlowRun]:
        """Yield the runs of these pools that have started or ended since, by `start_time` or `end_time`."""
        query: dict[str, Any] = {field: {"after_": after.isoformat(), "is_null_": False}}
        if field == "end_time":
            query["state"] = {"type": {"any_": sorted(FINAL)}}
        yield from self._runs({"work_pools": {"name": {"any_": list(pools)}}, "flow_runs": query})

    def due(self, pool: str) -> tuple[int, datetime | None]:
        """Return how many runs of a pool wait though their time has come, and when the first one was to start."""
        query = {
            "work_pools": {"name": {"any_": [pool]}},
            "flow_runs": {
                # A retry after a delay waits for its own pod.
                "state": {"type": {"any_": ["SCHEDULED"]}, "name": {"not_any_": ["AwaitingRetry"]}},
                "next_scheduled_start_time": {"before_": self.now.isoformat()},
            },
        }
        number = int(self._call("POST", "/flow_runs/count", query))
        first = {**query, "sort": "NEXT_SCHEDULED_START_TIME_ASC", "limit": 1}
        runs = self._call("POST", "/flow_runs/filter", first) if number else []
        return number, time_of(runs[0], "next_scheduled_start_time") if runs else None

    def work_pool(self, name: str) -> WorkPool:
        """Return a work pool with the last heartbeat of its workers."""
        path = f"/work_pools/{quote(name, safe='')}"
        paused = bool(self._call("GET", path)["is_paused"])
        workers = self._call("POST", f"{path}/workers/filter", {})
        return WorkPool(
            paused=paused,
            heartbeat=max(filter(None, (time_of(each, "last_heartbeat_time") for each in workers)), default=None),
        )

    def set_state(self, run: str, *, type: str, message: str, force: bool = False) -> bool:  # noqa: A002  Prefect's word
        """Propose a state and return whether the run has it; with `force`, Prefect's rules do not apply."""
        state = {"type": type, "name": type.capitalize(), "message": message}
        answer = self._call("POST", f"/flow_runs/{run}/set_state", {"state": state, "force": force})
        return bool(answer["status"] == "ACCEPT")

    def states(self, run: str) -> list[Object]:
        """Return the history of a run, oldest state first."""
        states: list[Object] = self._call("GET", f"/flow_run_states/?flow_run_id={run}")
        return sorted(states, key=lambda state: text(state, "timestamp"))

    def release_place(self, run: str) -> None:
        """Give back the place of its deployment's concurrency limit that a run may still hold."""
        details = [mapping(state, "state_details") for state in self.states(run)]
        leases = [lease for each in details if (lease := text(each, "deployment_concurrency_lease_id"))]
        if leases:
            # Without an effect on a lease that is gone.
            self._call("POST", "/v2/concurrency_limits/decrement-with-lease", {"lease_id": leases[-1]})

    def last_heartbeat(self, run: str, since: datetime) -> datetime | None:
        """Return when a run has sent its last heartbeat, if it has sent one."""
        query = {
            "event": {"name": [HEARTBEAT]},
            "resource": {"id": [f"prefect.flow-run.{run}"]},
            "occurred": {"since": since.isoformat()},
            "order": "DESC",
        }
        events = self._call("POST", "/events/filter", {"filter": query, "limit": 1})["events"]
        return datetime.fromisoformat(events[0]["occurred"]) if events else None

    def _runs(self, query: Mapping[str, Any]) -> Iterator[FlowRun]:
        # Ordered by id, so that a run that changes its state meanwhile does not move to another page.
        offset, page = 0, _PAGE
        while page == _PAGE:
            body = {**query, "sort": "ID_DESC", "limit": _PAGE, "offset": offset}
            items = self._call("POST", "/flow_runs/filter", body)
            offset, page = offset + _PAGE, len(items)
            yield from map(_flow_run, items)

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        response = self._client.request(method, path, json=body)
        if response.status_code == httpx.codes.FORBIDDEN and "CSRF" in response.text:
            self._take_csrf_token()
            response = self._client.request(method, path, json=body)
        response.raise_for_status()
        self.now = parsedate_to_datetime(response.headers["date"]).astimezone(UTC)
        return response.json() if response.content else None

    def _take_csrf_token(self) -> None:
        """Get the token that a server with CSRF protection requires in every write."""
        client = str(uuid.uuid4())
        token = self._client.get(f"/csrf-token?client={client}").raise_for_status().json()["token"]
        self._client.headers.update({"Prefect-Csrf-Token": token, "Prefect-Csrf-Client": client})


def _flow_run(item: Object) -> FlowRun:
    state = mapping(item, "state")
    return FlowRun(
        id=item["id"],
        name=text(item, "name"),
        pool=text(item, "work_pool_name"),
        state_id=text(state, "id"),
        type=text(state, "type"),
        state=text(state, "name"),
        message=text(state, "message"),
        since=datetime.fromisoformat(state["timestamp"]),
        pid=text(item, "infrastructure_pid"),
        retries_in_process=mapping(item, "empirical_policy").get("retry_type") == "in_process",
        expected=time_of(item, "expected_start_time"),
        started=time_of(item, "start_time"),
        ended=time_of(item, "end_time"),
    )


def is_id(run: str) -> bool:
    """Return whether a label's value is an id: the server refuses a request with another one as a whole."""
    try:
        uuid.UUID(run)
    except ValueError:
        return False
    return True
