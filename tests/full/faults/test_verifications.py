"""What `make verify` says about a stack on the real cluster when a part of it is gone."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.e2e.newcomer import Newcomer
from tests.e2e.runs import scaled_down


@contextlib.contextmanager
def stopped(newcomer: Newcomer, deployment: str) -> Iterator[str]:
    """Verify while a Deployment has no pod, and provide the table without its line breaks."""
    with scaled_down(newcomer, deployment):
        done = newcomer.make("verify")
        assert done.status == 1, done.output + done.progress
        table = " ".join(done.output.split())
        assert f"Deployment {deployment} is scaled to 0 replicas" in table
        yield table


def test_a_worker_that_is_gone_fails_the_verification(newcomer: Newcomer) -> None:
    with stopped(newcomer, "prefect-worker-dask") as table:
        # By its heartbeat it is gone after 75 s, before the run, or during the run, which it does not take.
        assert "no worker has taken it" in table or "its last heartbeat was" in table


def test_a_server_that_is_gone_fails_the_verification(newcomer: Newcomer) -> None:
    with stopped(newcomer, "prefect-server") as table:
        assert "not checked, because the Prefect API does not work" in table or "has no pod that is ready" in table


def test_an_operator_that_is_gone_fails_the_verification_within_its_bound(newcomer: Newcomer) -> None:
    with stopped(newcomer, "dask-operator") as table:
        assert "it has not handled DaskCluster" in table


def test_the_restored_stack_passes(newcomer: Newcomer) -> None:
    done = newcomer.make("verify")
    assert done.status == 0, done.output + done.progress
