"""One machine for all end-to-end tests, and the stack that most of them use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.clones import clone, with_own_flows
from tests.e2e.machine import Deployed, Machine, taken_over
from tests.e2e.newcomer import Newcomer
from tests.e2e.newcomer import newcomer as with_own_cluster

CLUSTERS = (
    ("test_local_cluster", "test_firewall"),
    ("test_network_policies",),
    ("test_attacks", "test_main_job", "test_entrypoints", "test_faults", "test_pods", "test_readme"),
    ("test_prod_stack",),
)
"""Modules that share a cluster, in the order in which clusters come and go."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests of the same cluster one after another, and what takes its stack down after all others."""

    def place(item: pytest.Item) -> tuple[int, bool]:
        numbers = [number for number, modules in enumerate(CLUSTERS) if item.path.stem in modules]
        assert numbers, f"{item.path.name} is missing in CLUSTERS"
        return numbers[0], "takes_down" in item.keywords

    folder = Path(__file__).parent
    ours = [item for item in items if folder in item.path.parents]
    ordered = iter(sorted(ours, key=place))
    items[:] = [next(ordered) if folder in item.path.parents else item for item in items]


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    machine = Machine()
    with taken_over():
        yield machine
        machine.clear()


@pytest.fixture(scope="session")
def own_clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a clone whose flows are the tests' own."""
    return with_own_flows(clone(tmp_path_factory.mktemp("clone") / "project"))


@contextlib.contextmanager
def _deployed(folder: Path) -> Iterator[Deployed]:
    since = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    with with_own_cluster(folder, EPHEMERAL_DASK_NETWORK="ptp") as newcomer:
        first = newcomer.make("up")
        assert first.status == 0, first.progress
        yield Deployed(newcomer, first, since)


@pytest.fixture(scope="module")
def deployed(machine: Machine, own_clone: Path) -> Deployed:
    """Provide a stack that is up, after its first run; shared by the modules that use it."""
    stack: Deployed = machine.provide("dev", lambda: _deployed(own_clone))
    return stack


@pytest.fixture(scope="module")
def newcomer(deployed: Deployed) -> Newcomer:
    """Provide the user whose stack is up."""
    return deployed.newcomer
