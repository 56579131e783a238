"""One stack for all of this tier, on a local cluster of its own."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from unittest import mock

import pytest

from tests.e2e.newcomer import ROOT, Newcomer
from tests.e2e.newcomer import newcomer as an_own_cluster


@pytest.fixture(scope="session")
def newcomer() -> Iterator[Newcomer]:
    with an_own_cluster(EPHEMERAL_DASK_NETWORK="ptp") as someone:
        done = someone.make("up")
        assert done.status == 0, done.told
        yield someone


@pytest.fixture(scope="module")
def shell(newcomer: Newcomer) -> Iterator[None]:
    """The environment of `make env` for this process: the pods of scripts are made by kubectl from here."""
    done = newcomer.shell("env -0")
    assert done.status == 0, done.told
    found = dict(one.split("=", 1) for one in done.output.split("\0") if "=" in one)
    with mock.patch.dict(os.environ, found, clear=True), contextlib.chdir(ROOT):
        yield
