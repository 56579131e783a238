"""A stack with one namespace moves to two, as UPGRADING.md says, with its runs and their results."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.e2e.clones import clone, with_own_flows
from tests.e2e.newcomer import NAMESPACE, RUNS, Newcomer
from tests.e2e.results import LIST, on_results
from tests.e2e.runs import all_runs
from tests.support import repository
from tools.paths import ROOT

ONE_NAMESPACE: Final = "851611620e9f5edd343632b4b7350622fa474187"
"""The last commit whose stacks have one namespace."""

pytestmark = pytest.mark.takes_down


@pytest.fixture
def earlier(newcomer: Newcomer, tmp_path: Path) -> Iterator[Newcomer]:
    """Take the stack down, and provide a user of the earlier commit with the same state; bring it up in the end."""
    assert newcomer.make("down", YES="1").status == 0
    files = tmp_path / "files"
    files.mkdir()
    archive = subprocess.run(["git", "archive", ONE_NAMESPACE], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "-x"], cwd=files, input=archive.stdout, check=True)
    repository.create(files, exclude="/.venv")  # .gitignore covers a folder, not a link
    (files / ".venv").symlink_to((ROOT / ".venv").resolve())
    (tmp_path / "clone").mkdir()
    yield replace(newcomer, clone=with_own_flows(clone(tmp_path / "clone", files)))
    assert newcomer.make("down", YES="1").status == 0
    done = newcomer.make("up")
    assert done.status == 0, done.progress


def test_it_moves_with_its_runs_and_results(earlier: Newcomer, newcomer: Newcomer, tmp_path: Path) -> None:
    done = earlier.make("up")
    assert done.status == 0, done.progress
    done = earlier.make("run", "FLOW=sales/by-file", 'PARAMS={"report": {"countries": ["FR", "DE"]}}')
    assert done.status == 0, done.progress
    runs, results = all_runs(earlier), on_results(earlier, LIST, namespace=NAMESPACE)
    assert len(runs) >= 1
    assert results.strip()

    # The local cluster of that commit has an etcd without TLS.
    assert newcomer.make("cluster-up").status == 0
    made = newcomer.make("backup", f"FILE={tmp_path / 'backup.zip'}")
    assert made.status == 0, made.progress
    refused = newcomer.make("up")
    assert refused.status != 0
    assert f"DISCARD={NAMESPACE}/results" in refused.progress + refused.output
    assert all_runs(newcomer) == runs, "the refused update changed the stack"
    done = newcomer.make("up", f"DISCARD={NAMESPACE}/results")
    assert done.status == 0, done.progress
    done = newcomer.make("restore", f"FILE={tmp_path / 'backup.zip'}")
    assert done.status == 0, done.progress
    assert (all_runs(newcomer), on_results(newcomer, LIST)) == (runs, results)

    # The backup has the work pool with the old namespace for runs.
    done = newcomer.make("up")
    assert done.status == 0, done.progress
    claims = newcomer.kubectl("get", "persistentvolumeclaims", "-o", "name", namespace=NAMESPACE)
    assert "results" not in claims
    again = newcomer.make("run", "FLOW=sales/by-file", 'PARAMS={"report": {"countries": ["FR", "DE"]}}')
    assert again.status == 0, again.progress
    assert "pod/" not in newcomer.kubectl(
        "get", "pods", "-l", "ephemeral-dask/flow-run", "-o", "name", namespace=NAMESPACE
    )
    assert newcomer.kubectl("get", "jobs", "-o", "name", namespace=RUNS).strip()
    preview = newcomer.make("preview")
    assert "nothing changes" in preview.output, preview.output
