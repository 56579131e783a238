"""Task results in an S3 server beside the cluster, as docs/data.md sets it up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests import howtos
from tests.e2e.newcomer import Newcomer
from tests.full.shown_stack import shown
from tests.full.test_runs import ended, logged
from tests.support.s3_server import BUCKET, S3
from tools.paths import ROOT

PAGE: Final = (ROOT / "docs" / "data.md").read_text().partition("\n## An S3 bucket\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def stored(newcomer: Newcomer, s3: S3) -> Iterator[Newcomer]:
    """Give the stack what the page shows, and take it away in the end."""
    with shown(newcomer, s3, howtos.fenced(PAGE, "yaml")[0]):
        saved = newcomer.shell(howtos.fenced(PAGE, "bash")[1])
        assert saved.status == 0, saved.progress
        yield newcomer


def test_task_results_of_a_run_are_in_the_bucket(stored: Newcomer, s3: S3) -> None:
    run = stored.start("primes/default", "--param", "parts=4")
    assert ended(stored, run) == "COMPLETED", logged(stored, run)
    keys = [key for key in s3.keys(BUCKET) if key.startswith("results/")]
    assert len(keys) >= 5, "four tasks and the flow"
