"""Processes, pid files and the order in which components start."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tools.cluster import Layout, files, process, supervise
from tools.cluster.components import Component
from tools.cluster.process import Identity
from tools.cluster.wait import until
from tools.errors import Problem


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Layout]:
    place = Layout(root=tmp_path / "cluster", images=tmp_path / "images")
    yield place
    process.stop(process.marked(str(place.root)), grace=0)


def sleeper(place: Layout, name: str = "sleeper") -> Identity:
    return process.start(
        ["sleep", "600"],
        log=place.log(name),
        pid_file=place.pid_file(name),
        mark=str(place.root),
        environment={"PATH": os.defpath},
    )


def test_a_started_process_has_its_own_session_and_log_and_the_mark(place: Layout) -> None:
    identity = sleeper(place)
    assert os.getsid(identity.pid) == identity.pid
    assert process.read_pid_file(place.pid_file("sleeper")) == identity
    # For an instant after a program starts, the kernel shows no environment of it.
    assert until(lambda: process.marked(str(place.root)) == {identity: str(place.root)}, seconds=5)
    assert place.log("sleeper").exists()


def test_a_process_with_a_reused_pid_is_not_the_clusters_and_gets_no_signal(place: Layout) -> None:
    other_process = subprocess.Popen(["sleep", "600"])
    try:
        identity = Identity.of(other_process.pid)
        assert identity
        for obsolete in (replace(identity, started=identity.started - 1), replace(identity, boot="another start")):
            files.write(place.pid_file("etcd"), json.dumps(asdict(obsolete)))
            assert supervise.running(place) == {}
            assert process.stop([obsolete], grace=0) == []
            obsolete.signal(signal.SIGKILL)
        assert other_process.poll() is None
    finally:
        other_process.kill()
        other_process.wait()


def test_a_zombie_is_not_alive(place: Layout) -> None:
    identity = sleeper(place)
    identity.signal(signal.SIGKILL)
    assert identity.wait(10)
    assert not identity.alive()


def test_a_process_is_alive_until_its_last_thread_ends(place: Layout) -> None:
    script = (
        "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(600,)).start();"
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    headless = process.start(
        [sys.executable, "-c", script],
        log=place.log("headless"),
        pid_file=place.pid_file("headless"),
        mark=str(place.root),
        environment={},
    )

    def state() -> str:
        return process.parse_stat(Path(f"/proc/{headless.pid}/stat").read_text())[0]

    assert until(lambda: state() == "Z", seconds=20)
    assert headless.alive()
    headless.signal(signal.SIGKILL)
    assert headless.wait(10)
    assert not headless.alive()


def test_a_process_that_ignores_sigterm_is_killed(place: Layout) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);print('ready', flush=True); time.sleep(600)"
    )
    stubborn = process.start(
        [sys.executable, "-c", script],
        log=place.log("stubborn"),
        pid_file=place.pid_file("stubborn"),
        mark=str(place.root),
        environment={},
    )
    assert until(lambda: "ready" in process.tail(place.log("stubborn")), seconds=20)
    assert process.stop([stubborn], grace=0.2) == []
    assert not stubborn.alive()


@pytest.mark.parametrize(
    "content", ["", "12", "{}", '{"pid": 1}', "[]", '{"pid": 1, "started": 1, "boot": "x", "more": 1}']
)
def test_a_damaged_pid_file_names_no_process(tmp_path: Path, content: str) -> None:
    (tmp_path / "etcd.pid").write_text(content)
    assert process.read_pid_file(tmp_path / "etcd.pid") is None


def test_the_start_time_is_read_after_a_program_name_with_blanks_and_parentheses() -> None:
    fields = ["S", *["0"] * 16, "7", "0", "4711", *["0"] * 30]
    assert process.parse_stat(f"12 (a) b (c)) {' '.join(fields)}\n") == ("S", 7, 4711)


def test_the_previous_log_is_kept_when_a_new_one_starts(place: Layout) -> None:
    place.logs.mkdir(parents=True)
    place.log("sleeper").write_text("what happened before")
    sleeper(place)
    assert (place.logs / "sleeper.log.1").read_text() == "what happened before"
    assert place.log("sleeper").read_text() == ""


# Order of starting.


def component(
    name: str, script: str = "sleep 600", *, after: tuple[str, ...] = (), ready: Callable[[], bool] = lambda: True
) -> Component:
    return Component(name, ("/bin/sh", "-c", script), ready, after)


def test_a_component_starts_after_its_dependencies_are_ready(place: Layout) -> None:
    def first_is_ready() -> bool:
        assert supervise.live_process(place, "second") is None
        return (place.root / "open").exists()

    first = component("first", f"sleep 0.3; touch {place.root}/open; sleep 600", ready=first_is_ready)
    supervise.start_all(place, [component("second", after=("first", "something that runs already")), first], {})
    assert set(supervise.running(place)) == {"first", "second"}


def test_the_hook_of_a_component_runs_before_its_dependents_start(place: Layout) -> None:
    done: list[str] = []
    second = component("second", after=("first",), ready=lambda: done == ["first"])
    supervise.start_all(place, [component("first"), second], {"first": lambda: done.append("first")})
    assert done == ["first"]


def test_a_component_that_ends_is_detected_at_once_and_the_end_of_its_log_is_shown(place: Layout) -> None:
    waiting = component("etcd", ready=lambda: False)
    ending = component("kubelet", "echo no cgroups here; exit 1", ready=lambda: False)
    start = time.monotonic()
    with pytest.raises(Problem, match="kubelet ended while the cluster was starting") as raised:
        supervise.start_all(place, [waiting, ending], {}, seconds=60)
    assert time.monotonic() - start < 5
    assert "no cgroups here" in str(raised.value)
    assert str(place.log("kubelet")) in str(raised.value)


def test_a_component_that_ends_after_it_was_ready_is_detected_while_others_start(place: Layout) -> None:
    first = component("etcd", "sleep 0.3; echo disk full; exit 1")
    second = component("kubelet", ready=lambda: False)
    with pytest.raises(Problem, match="etcd ended") as raised:
        supervise.start_all(place, [first, second], {}, seconds=60)
    assert "disk full" in str(raised.value)


def test_a_component_that_does_not_become_ready_in_time_is_named(place: Layout) -> None:
    with pytest.raises(Problem, match="coredns was not ready within 0 s"):
        supervise.start_all(place, [component("coredns", ready=lambda: False)], {}, seconds=0.2)


def test_a_program_that_cannot_be_executed_is_a_problem_with_its_path(place: Layout) -> None:
    missing = Component("etcd", (str(place.root / "missing"),), lambda: True)
    with pytest.raises(Problem, match="missing of the local cluster cannot be started: No such file"):
        supervise.start_all(place, [missing], {})


def test_a_status_distinguishes_not_started_not_ready_and_ended(place: Layout) -> None:
    one = component("etcd")
    assert supervise.status(place, one).detail == "not started"
    supervise.start_all(place, [component("etcd", "echo goodbye; sleep 600")], {})
    assert supervise.status(place, one).alive
    unready = supervise.status(place, component("etcd", ready=lambda: False))
    assert (unready.alive, "not ready" in unready.detail) == (False, True)
    assert until(lambda: "goodbye" in process.tail(place.log("etcd")), seconds=10)
    process.stop(supervise.running(place).values(), grace=10)
    ended = supervise.status(place, one)
    assert (ended.alive, ended.detail) == (False, "ended; the last line of its log: goodbye")


def test_the_processor_time_of_a_process_is_the_one_that_it_measures_itself() -> None:
    own = Identity.of(os.getpid())
    assert own is not None
    before = time.process_time()
    assert before - 0.1 <= own.processor() <= time.process_time() + 0.1
