"""One stack for all of this tier, on a local cluster of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.newcomer import Newcomer
from tests.e2e.newcomer import newcomer as an_own_cluster


@pytest.fixture(scope="session")
def newcomer() -> Iterator[Newcomer]:
    with an_own_cluster(EPHEMERAL_DASK_NETWORK="ptp") as someone:
        done = someone.make("up")
        assert done.status == 0, done.told
        yield someone
