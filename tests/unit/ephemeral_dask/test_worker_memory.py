from __future__ import annotations

import pytest

from ephemeral_dask import worker_memory

MIB = 2**20


@pytest.mark.parametrize("limit", [416 * MIB, 672 * MIB, 2048 * MIB, 65536 * MIB])
def test_results_and_process_stay_below_dasks_own_share(limit: int) -> None:
    share = worker_memory.target(limit)
    assert share * limit + worker_memory.PROCESS <= worker_memory.SHARE * limit + 0.001 * limit
    assert share < worker_memory.SHARE


def test_a_worker_of_768_mebibytes_has_room_for_a_result_of_80_megabytes_that_is_read_from_disk() -> None:
    limit = 672 * MIB
    at_the_most = worker_memory.PROCESS + worker_memory.target(limit) * limit + 2 * 80e6
    assert at_the_most < 0.95 * limit
    assert worker_memory.PROCESS + worker_memory.SHARE * limit + 2 * 80e6 > 0.95 * limit


def test_the_smallest_workers_keep_some_results_in_memory() -> None:
    assert worker_memory.target(160 * MIB) == 0.1
