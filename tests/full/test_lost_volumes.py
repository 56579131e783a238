"""A stack whose volumes are replaced, by the commands of the how-to pages: what was on them comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pytest
import yaml

from tests import howtos
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.results import LIST, on_results
from tests.e2e.runs import all_runs
from tools.cluster.storage import PROVISIONER

pytestmark = pytest.mark.takes_down

FILE: Final = "backup-dev-20260101-120000.zip"
"""What the pages call a backup."""
OTHER_CLASS: Final = {
    "apiVersion": "storage.k8s.io/v1",
    "kind": "StorageClass",
    "metadata": {"name": "other"},
    "provisioner": PROVISIONER,
    "volumeBindingMode": "WaitForFirstConsumer",
}
RUN: Final = ("run", "FLOW=sales/by-file", 'PARAMS={"report": {"countries": ["FR", "DE"]}}')


@dataclass(frozen=True)
class Data:
    """What a stack has: the ids of its runs, and the names of the files with results."""

    runs: set[str]
    results: str

    @classmethod
    def of(cls, user: Newcomer) -> Data:
        return cls(all_runs(user), on_results(user, LIST))


@pytest.fixture
def data(newcomer: Newcomer) -> Iterator[Data]:
    """Provide what the stack has, at least one run with results; remove the backups in the end."""
    done = newcomer.make(*RUN)
    assert done.status == 0, done.progress
    data = Data.of(newcomer)
    assert data.runs
    assert data.results.strip()
    yield data
    for file in newcomer.clone.glob("backup-dev-*.zip"):
        file.unlink()


@pytest.fixture
def other_class(newcomer: Newcomer) -> Iterator[str]:
    """Provide a StorageClass; in the end, the stack has the volume of before, without results."""
    newcomer.kubectl("create", "-f", "-", stdin=json.dumps(OTHER_CLASS))
    stack = newcomer.clone / "Pulumi.dev.yaml"
    before = stack.read_text()
    yield "other"
    stack.write_text(before)
    done = newcomer.make("up", f"DISCARD={RUNS}/results")
    assert done.status == 0, done.progress
    newcomer.kubectl("delete", "storageclass", "other")


def block(page: str, words: str) -> str:
    """Return the block of a page with these words, with the newest backup in place of the one that it names."""
    [block] = [each for each in howtos.blocks(page) if words in each]
    assert FILE in block
    return block.replace(FILE, '"$(ls -t backup-dev-*.zip | head -n 1)"')


def claim(newcomer: Newcomer, name: str, *, namespace: str) -> str:
    """Return the UID of a PersistentVolumeClaim."""
    return newcomer.kubectl("get", "pvc", name, "-o", "jsonpath={.metadata.uid}", namespace=namespace)


def test_results_move_to_a_volume_of_another_storage_class(newcomer: Newcomer, data: Data, other_class: str) -> None:
    before = claim(newcomer, "results", namespace=RUNS)
    stack = newcomer.clone / "Pulumi.dev.yaml"
    content = yaml.safe_load(stack.read_text())
    content["config"]["ephemeral-dask:results"]["storageClass"] = other_class
    stack.write_text(yaml.safe_dump(content, sort_keys=False))
    refused = newcomer.make("up")
    assert refused.status != 0
    assert f"DISCARD={RUNS}/results" in refused.output + refused.progress
    done = newcomer.type(block("docs/operate.md", "DISCARD="))
    assert done.status == 0, done.output + done.progress
    assert claim(newcomer, "results", namespace=RUNS) != before
    assert Data.of(newcomer) == data


def test_a_sqlite_database_goes_back_to_its_backup(newcomer: Newcomer, data: Data) -> None:
    before = claim(newcomer, "prefect-server", namespace="flows")
    made = newcomer.make("backup")
    assert made.status == 0, made.progress
    done = newcomer.shell(block("docs/upgrade-versions.md", "delete persistentvolumeclaim"))
    assert done.status == 0, done.output + done.progress
    assert claim(newcomer, "prefect-server", namespace="flows") != before
    assert Data.of(newcomer) == data
    preview = newcomer.make("preview")
    assert "nothing changes" in preview.output, preview.output
    again = newcomer.make(*RUN)
    assert again.status == 0, again.progress
