"""An update killed with SIGKILL at each request that writes, and what `make up` does next: it converges.

Killed before a request is passed on, the engine has begun a step that changed nothing; killed after it was answered,
the server has changed and the state does not know. Nothing in between would make a difference.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra import project
from tools import stack as stacks
from tools import stackfile
from tools.errors import Problem
from tools.target import Target

DAILY = {"slug": "daily", "cron": "0 6 * * *"}
LATER = {**DAILY, "cron": "0 7 * * *"}
TRIGGER = {
    "type": "event",
    "expect": ["prefect.flow-run.Failed"],
    "match": {"prefect.resource.id": "prefect.flow-run.*"},
    "posture": "Reactive",
    "threshold": 1,
}
WAIT = 180.0
"""Seconds for an update to come to the request at which it is killed, on a busy machine."""


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One type of resource.

    Attributes:
        first: declares an object.
        then: changes it.
        pool: whether there is a work pool before it.

    """

    first: Callable[[Any], None]
    then: Callable[[Any], None]
    pool: bool = True


def _object(kind: str, **fields: Any) -> Callable[[Any], None]:
    return lambda stack: stack.object(kind, "one", **fields)


KINDS = {
    "Deployment": Kind(
        first=lambda stack: stack.deployment("one", pool="pool", schedules=[DAILY]),
        then=lambda stack: stack.deployment("one", pool="pool", description="New.", schedules=[LATER]),
    ),
    "WorkPool": Kind(
        first=lambda stack: stack.pool("one"),
        then=lambda stack: stack.pool("one", concurrency_limit=2),
        pool=False,
    ),
    "Variable": Kind(first=_object("Variable", value=1), then=_object("Variable", value=2)),
    "GlobalConcurrencyLimit": Kind(
        first=_object("GlobalConcurrencyLimit", limit=1), then=_object("GlobalConcurrencyLimit", limit=2)
    ),
    "WorkQueue": Kind(
        first=_object("WorkQueue", pool="pool", priority=1), then=_object("WorkQueue", pool="pool", priority=2)
    ),
    "Automation": Kind(
        first=_object("Automation", trigger=TRIGGER, actions=[{"type": "do-nothing"}]),
        then=_object("Automation", trigger={**TRIGGER, "threshold": 2}, actions=[{"type": "do-nothing"}]),
    ),
}
IN_CI = "Deployment"

Declarations = list[Callable[[Any], None]]


def _base(kind: Kind) -> Declarations:
    return [lambda stack: stack.pool()] if kind.pool else []


TRANSITIONS: dict[str, Callable[[Kind], tuple[Declarations, Declarations]]] = {
    "creation": lambda kind: (_base(kind), [*_base(kind), kind.first]),
    "change": lambda kind: ([*_base(kind), kind.first], [*_base(kind), kind.then]),
    "deletion": lambda kind: ([*_base(kind), kind.first], _base(kind)),
}
"""Name -> what is declared before and after it."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "kind" in metafunc.fixturenames:
        every = metafunc.config.getoption("--every-step")
        metafunc.parametrize("kind", list(KINDS) if every else [IN_CI])
        metafunc.parametrize("transition", list(TRANSITIONS))


@pytest.fixture
def tool(stack: Any, monkeypatch: pytest.MonkeyPatch) -> stacks.Stack:
    """Give the stack as the verbs of `make` drive it."""
    monkeypatch.setattr(stacks, "ROOT", stack.folder)
    monkeypatch.setattr(project, "NAME", "registration-test")
    monkeypatch.setattr(stackfile, "ROOT", stack.folder)
    return stacks.Stack("test", Target(cluster="existing", environment=stack.environment, overrides={}))


def test_an_update_killed_at_any_request_is_completed_by_the_next_one_without_a_duplicate(
    *, kind: str, transition: str, stack: Any, tool: stacks.Stack, proxy: Any, prefect: Any
) -> None:
    before, after = TRANSITIONS[transition](KINDS[kind])
    writes, expected = _uninterrupted(before, after, stack, proxy, prefect)
    assert writes, f"{transition} sends no request, so nothing is shown"
    for number, request in enumerate(writes):
        # After one request and before the next is the same to the next update.
        for when in ("before", "after") if number == 0 else ("after",):
            where = f"{kind}, {transition}, killed {when} request {number + 1}, {' '.join(request)}"
            _declare(stack, before)
            stack.up()
            _declare(stack, after)
            _kill(stack, proxy, number=number, when=when)
            assert tool.unlock() == 1, where
            tool.settle()
            tool.up()
            assert _world(prefect) == expected, where
            assert not _state(stack).get("pending_operations"), where
    stack.run("preview", "--refresh", "--expect-no-changes")


def test_a_killed_creation_blocks_the_stack_until_its_lock_and_its_pending_operation_are_cleared(
    stack: Any, tool: stacks.Stack, proxy: Any
) -> None:
    stack.pool()
    stack.deployment("one", pool="pool")
    _kill(stack, proxy, number=2, when="after")
    assert "locked by" in stack.attempt("up", "--yes", "--skip-preview").text
    assert tool.unlock() == 1
    before = _state(stack)
    assert tool.settle().pending == ("creating one",)
    assert tool.settle().pending == ()
    after = _state(stack)
    assert after["resources"] == before["resources"]
    assert after["secrets_providers"] == before["secrets_providers"]


def test_a_second_update_is_refused_while_the_first_one_is_under_way_and_disturbs_nothing(
    stack: Any, tool: stacks.Stack, proxy: Any, prefect: Any
) -> None:
    stack.pool()
    stack.deployment("one", pool="pool")
    stack.write()
    begun, released = threading.Event(), threading.Event()

    def intercept(stage: str, request: tuple[str, str]) -> bool:
        if stage == "before" and request[0] != "GET" and not request[1].endswith("/filter"):
            begun.set()
            assert released.wait(WAIT)
        return False

    proxy.intercept = intercept
    first = subprocess.Popen(
        ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"],
        cwd=stack.folder,
        env=stack.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert begun.wait(WAIT), "the first update sent nothing"
        with pytest.raises(Problem, match="is being changed by process"):
            tool.unlock()
        assert "locked by" in stack.attempt("up", "--yes", "--skip-preview").text
        assert first.poll() is None, "the first update ended before the second one was refused"
    finally:
        released.set()
        proxy.intercept = lambda _stage, _request: False
        assert first.wait(timeout=WAIT) == 0
    stack.run("preview", "--refresh", "--expect-no-changes")
    assert [one["name"] for one in _world(prefect)["deployments"]] == ["one"]


def _state(stack: Any) -> dict[str, Any]:
    [path] = (stack.folder / "state" / ".pulumi" / "stacks").rglob("test.json")
    state: dict[str, Any] = json.loads(path.read_text())["checkpoint"]["latest"]
    return state


def _declare(stack: Any, declarations: Declarations) -> None:
    stack.declared |= {"pools": {}, "deployments": {}, "objects": {}}
    for each in declarations:
        each(stack)
    stack.write()


def _uninterrupted(
    before: Declarations, after: Declarations, stack: Any, proxy: Any, prefect: Any
) -> tuple[list[Any], Any]:
    """Return the requests that the transition sends, and what there is after it."""
    _declare(stack, before)
    stack.up()
    _declare(stack, after)
    proxy.forget()
    stack.up()
    return list(proxy.writes), _world(prefect)


def _kill(stack: Any, proxy: Any, *, number: int, when: str) -> None:
    """Start an update and kill everything that it started at its request that writes."""
    stack.write()
    lock, killed, requests = threading.Lock(), threading.Event(), []
    command = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive"]
    with (stack.folder / "killed.log").open("w") as log:
        update = subprocess.Popen(
            command, cwd=stack.folder, env=stack.environment, stdout=log, stderr=log, start_new_session=True
        )

    def intercept(stage: str, request: tuple[str, str]) -> bool:
        with lock:
            if killed.is_set():
                return True
            if request[0] == "GET" or request[1].endswith("/filter"):
                return False
            if stage == "before":
                requests.append(request)
            if stage != when or len(requests) != number + 1:
                return False
            killed.set()
            _kill_session(update.pid)
            return True

    proxy.intercept = intercept
    try:
        code = update.wait(timeout=WAIT)
        _kill_session(update.pid)
        said = (stack.folder / "killed.log").read_text()
        assert killed.is_set(), f"the update ended with {code} before it sent {number + 1} requests:\n{said}"
        assert code == -signal.SIGKILL
    finally:
        proxy.intercept = lambda _stage, _request: False


def _kill_session(session: int) -> None:
    """Kill the engine and the plugins, which it puts into process groups of their own."""
    end = time.monotonic() + WAIT
    while alive := list(_members(session)):
        assert time.monotonic() < end, f"processes {alive} do not die"
        for pid in alive:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def _members(session: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, _parent, _group, own = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(own) == session and state not in "ZX":
            yield int(entry.name)


_FLEETING = {"created", "updated", "last_polled", "status", "labels", "created_by", "updated_by"}


def _world(prefect: Any) -> Any:
    """Return all that the server has, without what differs between two registrations."""
    pools = [pool for pool in prefect.call("POST", "/work_pools/filter", {}) if not pool["name"].startswith("default-")]
    return {
        "deployments": _bare(prefect.call("POST", "/deployments/filter", {})),
        "pools": _bare(pools),
        "queues": {
            pool["name"]: _bare(prefect.call("POST", f"/work_pools/{pool['name']}/queues/filter", {})) for pool in pools
        },
        "variables": _bare(prefect.call("POST", "/variables/filter", {})),
        "limits": _bare(prefect.call("POST", "/v2/concurrency_limits/filter", {})),
        "automations": _bare(prefect.call("POST", "/automations/filter", {})),
    }


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: "set" if key == "anchor_date" else _bare(item)
            for key, item in value.items()
            if key not in _FLEETING and key != "id" and not key.endswith("_id")
        }
    if isinstance(value, list):
        return sorted((_bare(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value
