"""The reconciler's requests to the Prefect API, with its pod's credential."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from ephemeral_dask.contract import secrets
from ops.fields import Object, mapping, text

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

    def set_state(self, run: str, *, type: str, message: str, force: bool = False) -> bool:  # noqa: A002  Prefect's word
        """Propose a state and return whether the run has it; with `force`, Prefect's rules do not apply."""
        state = {"type": type, "name": type.capitalize(), "message": message}
        answer = self._call("POST", f"/flow_runs/{run}/set_state", {"state": state, "force": force})
        return bool(answer["status"] == "ACCEPT")

    def states(self, run: str) -> list[Object]:
        """Return the history of a run, oldest state first."""
        states: list[Object] = self._call("GET", f"/flow_run_states/?flow_run_id={run}")
        return sorted(states, key=lambda state: text(state, "timestamp"))

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
        return response.json()

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
    )


def is_id(run: str) -> bool:
    """Return whether a label's value is an id: the server refuses a request with another one as a whole."""
    try:
        uuid.UUID(run)
    except ValueError:
        return False
    return True
