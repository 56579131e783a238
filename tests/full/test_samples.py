"""The sample flows on the real cluster."""

from __future__ import annotations

import pytest

from tests.e2e.newcomer import RUNS, Newcomer
from tests.full.test_runs import ended, logged
from tools.cluster.wait import until


@pytest.mark.parametrize("deployment", ["components/default", "leaderboard/default", "drift/nightly"])
def test_a_sample_flow_completes_and_leaves_no_dask_cluster(reader: Newcomer, deployment: str) -> None:
    run = reader.start(deployment)
    assert ended(reader, run) == "COMPLETED", logged(reader, run)
    assert until(
        lambda: not reader.kubectl("get", "daskclusters", "-o", "name", namespace=RUNS), seconds=60, interval=1
    )
