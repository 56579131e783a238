"""Stack prod as tests use it."""

from __future__ import annotations

from typing import Final

from tests.e2e.newcomer import Done, Newcomer

PROD: Final = "flows-prod"
PROD_RUNS: Final = "flows-prod-runs"
SMALL: Final = (
    *("--job-variable", "dask_worker_cpu=100m"),
    *("--job-variable", "dask_worker_memory=512Mi"),
    *("--job-variable", "dask_maximum=2"),
)
"""The stack's own workers are larger than a test machine."""
UP: Final = "pulumi up --yes --skip-preview --non-interactive"


def take_back(newcomer: Newcomer) -> Done:
    """Destroy stack prod, its protected data as well, and remove it from the backend."""
    return newcomer.shell(
        "pulumi state unprotect --all --yes; pulumi destroy --yes --skip-preview && pulumi stack rm --yes prod",
        stack="prod",
    )
