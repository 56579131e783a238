from __future__ import annotations

import pytest

from ephemeral_dask.contract import scheduler
from ephemeral_dask.contract.scheduler import Size


@pytest.mark.parametrize(
    ("workers", "size"),
    [
        (1, Size(cpu="100m", memory_request="256Mi", memory_limit="1Gi")),
        (16, Size(cpu="100m", memory_request="256Mi", memory_limit="1Gi")),
        (17, Size(cpu="110m", memory_request="264Mi", memory_limit="1056Mi")),
        (48, Size(cpu="420m", memory_request="512Mi", memory_limit="2Gi")),
        (1000, Size(cpu="1", memory_request="4096Mi", memory_limit="16Gi")),
    ],
)
def test_a_scheduler_grows_with_its_workers_to_one_core_and_16_gibibytes(workers: int, size: Size) -> None:
    assert scheduler.size(workers) == size


def test_a_size_that_is_set_does_not_grow() -> None:
    size = scheduler.size(1000, cpu="2", memory="8Gi")
    assert size == Size(cpu="2", memory_request="8Gi", memory_limit="8Gi")
