"""One stack for all of this tier, on a local cluster of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pytest

from tests.e2e.clones import clone, with_own_flows
from tests.e2e.machine import taken_over
from tests.e2e.newcomer import ROOT, Newcomer
from tests.e2e.newcomer import newcomer as with_own_cluster
from tests.support import s3_server
from tests.support.s3_server import S3
from tools.cluster import Network
from tools.cluster.network import VARIABLE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what destroys the data of the stack after the tests that share it."""
    folder = Path(__file__).parent
    ours = [item for item in items if folder in item.path.parents]
    ordered = iter(sorted(ours, key=lambda item: "takes_down" in item.keywords))
    items[:] = [next(ordered) if folder in item.path.parents else item for item in items]


@pytest.fixture(scope="session")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """Provide a user whose stack is up, with the tests' own flows."""
    folder = with_own_flows(clone(tmp_path_factory.mktemp("own") / "clone"))
    with taken_over(), with_own_cluster(folder, **{VARIABLE: os.environ.get(VARIABLE, Network.PTP)}) as user:
        done = user.make("up")
        assert done.status == 0, done.progress
        yield user


@pytest.fixture(scope="module")
def reader(newcomer: Newcomer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    """Provide a user whose clone is as published, sample flows included, for the time of a module."""
    user = replace(newcomer, clone=clone(tmp_path_factory.mktemp("published") / "clone"))
    done = user.make("up")
    assert done.status == 0, done.progress
    yield user
    done = newcomer.make("up")
    assert done.status == 0, done.progress


@pytest.fixture(scope="session")
def node(newcomer: Newcomer) -> str:
    """Return the address of the node, where pods find what listens on this machine."""
    address = "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"
    return newcomer.kubectl("get", "nodes", "-o", address)


@pytest.fixture(scope="session")
def s3(node: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """Start a server on the address of the node, where pods find it, with a certificate of a private CA."""
    with s3_server.running(node, certificates=tmp_path_factory.mktemp("certificates")) as server:
        server.create(s3_server.BUCKET)
        yield server


@pytest.fixture(scope="module")
def shell(newcomer: Newcomer) -> Iterator[None]:
    """Give this process the environment of `make env`: kubectl makes the pods of scripts from here."""
    with mock.patch.dict(os.environ, newcomer.variables(), clear=True), contextlib.chdir(ROOT):
        yield
