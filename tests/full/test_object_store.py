"""An S3 server beside the cluster: task results as docs/data.md sets it up, and the flow of examples/parquet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
import yaml

from tests.e2e.newcomer import Newcomer
from tests.full.faults.runs import ask
from tests.full.test_runs import ended, logged
from tests.support import s3_server
from tests.support.s3_server import S3
from tools.paths import ROOT

PAGE: Final = (ROOT / "docs" / "data.md").read_text().partition("\n## An S3 bucket\n")[2].partition("\n## ")[0]
EXAMPLE: Final = (ROOT / "examples" / "parquet" / "README.md").read_text()
BUCKET: Final = "company-flows"


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def s3(newcomer: Newcomer) -> Iterator[S3]:
    """Start the server on the address of the node, where pods find it."""
    addresses = "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}"
    with s3_server.running(newcomer.kubectl("get", "nodes", "-o", addresses)) as server:
        server.create(BUCKET)
        yield server


@pytest.fixture(scope="module")
def stored(newcomer: Newcomer, s3: S3) -> Iterator[Newcomer]:
    """Give the stack what both pages show, and take it away in the end."""
    keys = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"}, "stringData": {"id": "a", "secret": "b"}}
    newcomer.kubectl("apply", "-f", "-", stdin=json.dumps(keys))
    files = [newcomer.clone / name for name in ("Pulumi.dev.yaml", "prefect.yaml")]
    before = [file.read_text() for file in files]
    content, project = (yaml.safe_load(text) for text in before)
    for text in (blocks(PAGE, "yaml")[0], blocks(EXAMPLE, "yaml")[0]):
        shown = yaml.safe_load(text.replace("https://s3.example.com", s3.url))
        merge(content["config"], {key: value for key, value in shown["config"].items() if "network" not in key})
    content["config"]["ephemeral-dask:image"]["registry"] = "localhost:5001"
    content["config"]["ephemeral-dask:results"].pop("accessMode")
    host, _, port = s3.url.removeprefix("http://").partition(":")
    content["config"]["ephemeral-dask:network"] = {"data": [{"cidr": f"{host}/32", "ports": [int(port)]}]}
    project["deployments"] += yaml.safe_load(blocks(EXAMPLE, "yaml")[1])["deployments"]
    for file, value in zip(files, (content, project), strict=True):
        file.write_text(yaml.safe_dump(value, sort_keys=False))
    done = newcomer.make("up")
    assert done.status == 0, done.progress
    saved = newcomer.shell(blocks(PAGE, "bash")[1])
    assert saved.status == 0, saved.progress
    yield newcomer
    for file, text in zip(files, before, strict=True):
        file.write_text(text)
    newcomer.kubectl("delete", "secret/s3")
    done = newcomer.make("up")
    assert done.status == 0, done.progress


def merge(low: dict[str, Any], high: Mapping[str, Any]) -> None:
    """Add the keys of one stack file to another."""
    for key, value in high.items():
        if isinstance(value, Mapping) and isinstance(low.get(key), dict):
            merge(low[key], value)
        else:
            low[key] = value


def test_task_results_of_a_run_are_in_the_bucket(stored: Newcomer, s3: S3) -> None:
    run = stored.start("primes/default", "--param", "parts=4")
    assert ended(stored, run) == "COMPLETED", logged(stored, run)
    keys = [key for key in s3.keys(BUCKET) if key.startswith("results/")]
    assert len(keys) >= 5, "four tasks and the flow"


def test_the_sample_reads_parquet_from_the_bucket_and_publishes_a_plot(stored: Newcomer, s3: S3) -> None:
    run = stored.start("rides/default", "--param", "rides_per_month=10000")
    assert ended(stored, run) == "COMPLETED", logged(stored, run)
    assert "rides/2026-06.parquet" in s3.keys(BUCKET)
    only = f"filters.ArtifactFilter(flow_run_id={{'any_': ['{run}']}}, key={{'any_': ['rides']}})"
    [plot] = ask(stored, f"[[one.type, one.data[:22]] for one in await client.read_artifacts(artifact_filter={only})]")
    assert plot == ["image", "data:image/png;base64,"]
