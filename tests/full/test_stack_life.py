"""A stack does not change without a change, and an update does not disturb a run that is under way."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import definitions
from tests.e2e.clones import clone
from tests.e2e.newcomer import Newcomer
from tests.full.test_runs import attempts, ended, finished_tasks, logged, of
from tools.cluster.wait import until

SMALL = ("--job-variable", "dask_maximum=1", "--job-variable", "dask_worker_cpu=100m")
"""A run that lasts some minutes and leaves room on the machine."""


@pytest.fixture(scope="module")
def colleague(newcomer: Newcomer, tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """A user with the same state and cluster, and a clone of their own of the same files."""
    return replace(newcomer, clone=clone(tmp_path_factory.mktemp("second") / "clone", newcomer.clone))


def test_a_second_clone_of_the_same_files_previews_no_change(colleague: Newcomer) -> None:
    done = colleague.make("preview")
    assert done.status == 0, done.progress
    assert not re.search(r"\d+ to (create|update|delete|replace)", done.output), done.output


def test_an_update_of_all_that_a_run_needs_does_not_disturb_a_run_that_is_under_way(colleague: Newcomer) -> None:
    """Worker, operator, base job template, Dask's CRDs and the flow image."""
    run = colleague.start("primes/default", "--param", "parts=300", "--param", "size=30000", *SMALL)
    assert until(lambda: finished_tasks(colleague, run) >= 1, seconds=240, interval=2)
    cluster = of(colleague, run)
    assert len(cluster) == 1
    before = images(colleague)
    edit(colleague.clone)
    there = definition(colleague)
    colleague.kubectl(*definitions.APPLY, stdin=json.dumps(definitions.older(there)))
    assert definition(colleague)["spec"] != there["spec"]
    done = colleague.make("up")
    assert done.status == 0, done.progress
    assert images(colleague) != before
    assert definition(colleague)["spec"] == there["spec"]
    assert of(colleague, run) == cluster, "the run ended before the update, or lost its cluster"
    assert ended(colleague, run, seconds=600) == "COMPLETED", logged(colleague, run)
    assert attempts(colleague, run) == 1


def test_a_profile_of_the_run_has_precedence_over_the_code_and_the_deployment_over_both(colleague: Newcomer) -> None:
    run = colleague.start("primes/default", "--param", "parts=24", "--job-variable", "dask_profile=small")
    assert ended(colleague, run) == "COMPLETED", logged(colleague, run)
    assert "with 1 to 4 workers of 150m CPU and 768Mi, profile small" in logged(colleague, run)


def test_a_profile_that_the_stack_does_not_have_is_refused_before_a_run_is_made(colleague: Newcomer) -> None:
    done = colleague.shell(".venv/bin/prefect deployment run primes/default --job-variable dask_profile=tiny")
    assert done.status != 0
    assert "'tiny' is not one of ['small']" in done.output + done.progress


def edit(clone: Path) -> None:
    """Change what worker, operator and template are made of, and the image's content."""
    stack = clone / "Pulumi.dev.yaml"
    stack.write_text(
        stack.read_text().replace(
            "  ephemeral-dask:dask:\n",
            "  ephemeral-dask:worker: {pod: {annotations: {edited: worker}}}\n"
            "  ephemeral-dask:dask:\n"
            "    operator: {mode: install, pod: {annotations: {edited: operator}}}\n"
            "    ceiling: 12\n"
            "    profiles: {small: {maximum: 2, workerCpu: 150m}}\n",
        )
    )
    with (clone / "flows" / "primes.py").open("a") as flow:
        flow.write("# edited\n")


def definition(newcomer: Newcomer) -> dict[str, Any]:
    crd: dict[str, Any] = json.loads(newcomer.kubectl("get", "crd", "daskclusters.kubernetes.dask.org", "-o", "json"))
    return crd


def images(newcomer: Newcomer) -> str:
    return newcomer.shell("pulumi stack output flowImage").output.strip()
