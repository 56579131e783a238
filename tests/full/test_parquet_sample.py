"""The flow of examples/parquet as its page shows it, on a laptop and on the real cluster."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from tests import howtos
from tests.e2e.newcomer import Newcomer
from tests.e2e.runs import ask
from tests.full.shown_stack import shown
from tests.full.test_runs import ended, logged
from tests.support import scratch_prefect
from tests.support.s3_server import BUCKET, S3
from tools.paths import ROOT

PAGE: Final = (ROOT / "examples" / "parquet" / "README.md").read_text()
PLOT: Final = ["image", "data:image/png;base64,"]


def test_it_runs_on_a_laptop_with_a_folder(tmp_path: Path) -> None:
    [command] = howtos.fenced(PAGE, "bash")
    home = tmp_path / "home"
    home.mkdir()
    with scratch_prefect.running(home, "--no-services", settings={}) as url:
        environment = {**os.environ, "PREFECT_API_URL": url, "TMPDIR": str(tmp_path)}
        subprocess.run(["bash", "-euc", command], cwd=ROOT, env=environment, check=True, timeout=300)
        with scratch_prefect.client(url) as client:
            artifacts = client.post("/artifacts/filter", json={"artifacts": {"key": {"any_": ["rides"]}}}).json()
    assert [[each["type"], each["data"][:22]] for each in artifacts] == [PLOT]
    assert len(list((tmp_path / "rides").glob("2026-*.parquet"))) == 6


def test_on_a_cluster_it_reads_from_the_bucket(newcomer: Newcomer, s3: S3) -> None:
    stack_file, deployment = howtos.fenced(PAGE, "yaml")
    with shown(newcomer, s3, stack_file, deployment):
        run = newcomer.start("rides/default", "--param", "rides_per_month=10000")
        assert ended(newcomer, run) == "COMPLETED", logged(newcomer, run)
        only = f"filters.ArtifactFilter(flow_run_id={{'any_': ['{run}']}}, key={{'any_': ['rides']}})"
        artifacts = f"await client.read_artifacts(artifact_filter={only})"
        assert ask(newcomer, f"[[one.type, one.data[:22]] for one in {artifacts}]") == [PLOT]
    assert "rides/2026-06.parquet" in s3.keys(BUCKET)
