"""What Dask takes the result of a task run to be in memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from dask.sizeof import sizeof
from dask.utils import Dispatch
from prefect.client.schemas.objects import State
from prefect.results import ResultRecord, ResultRecordMetadata  # type: ignore[attr-defined]  # not in its __all__
from prefect.serializers import PickleSerializer
from prefect.states import Completed, Failed

from ephemeral_dask import result_sizes

MEGABYTE = 10**6


@pytest.fixture(scope="module")
def sizes() -> Callable[[object], int]:
    """Provide a dispatch like Dask's, with what the package registers."""
    ours: Any = Dispatch("sizeof")  # type: ignore[no-untyped-call]  # Dask has no types
    ours.register(object, sizeof)
    result_sizes.register(ours)
    count: Callable[[object], int] = ours
    return count


def record(result: object) -> ResultRecord[object]:
    metadata = ResultRecordMetadata(serializer=PickleSerializer(), storage_key="key")
    return ResultRecord(result=result, metadata=metadata)


def test_a_state_is_as_large_as_the_result_that_it_holds(sizes: Callable[[object], int]) -> None:
    state: State[object] = Completed(data=record(bytes(80 * MEGABYTE)))
    assert 80 * MEGABYTE <= sizes(state) < 80.1 * MEGABYTE


def test_a_state_is_as_large_as_the_plain_value_that_it_holds(sizes: Callable[[object], int]) -> None:
    assert 3 * MEGABYTE <= sizes(Completed(data=[bytes(MEGABYTE)] * 3)) < 3.1 * MEGABYTE


@pytest.mark.parametrize("data", [None, ValueError("x"), record(None).metadata])
def test_a_state_without_a_result_is_small(sizes: Callable[[object], int], data: object) -> None:
    assert 0 < sizes(Failed(data=data)) < 10_000


def test_dask_itself_counts_no_result_so_the_registration_is_still_needed() -> None:
    script = (
        "from importlib import metadata\n"
        "metadata.entry_points = lambda **_: metadata.EntryPoints()\n"
        "from dask.sizeof import sizeof\n"
        "from prefect.states import Completed\n"
        f"print(sizeof(Completed(data=bytes({MEGABYTE}))))"
    )
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert int(ran.stdout) < MEGABYTE
