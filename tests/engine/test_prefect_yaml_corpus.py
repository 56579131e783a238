"""Generated prefect.yaml files: what this project registers is what Prefect's own deploy code registers.

No server takes part: Prefect's client is answered here, and the models of its server judge both. What a real server
makes of a file is tested in test_prefect_deploy.py.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from hypothesis import HealthCheck, event, given, settings
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from tests.engine.prefect_yaml_files import FLOW, files
from tests.support.prefect_deploy import Refused, by_prefect, by_us

CASES: Final = int(os.environ.get("CORPUS_CASES", "100"))
"""Generated files per run; thousands take minutes, because Prefect's code needs a tenth of a second for one."""

REPEATABLE: Final = "CORPUS_CASES" not in os.environ
"""Whether each run has the same files: a change must not fail for a file that no one has seen before."""

KEPT: Final = Path(__file__).parent / "prefect_yaml_corpus.json"
"""Files that were once read in another way than by Prefect, or that stand for a kind of them."""

ENVIRONMENT: Final = {
    "TOKEN": "t0ken",
    "BRACES": "a {{ x }} b",
    "ONLY_BRACES": "{{ x.y }}",
    "NESTED": "<{{ $TOKEN }}{{ $ABSENT }}>",
    "FOR_LATER": "{{ ctx.flow_run.id }} {{ prefect.variables.v }}",
}

ON_PURPOSE: Final = {
    "the flow has no parameter": "a run with a parameter that the flow does not have fails",
    "two schedules have the slug": "the server's database refuses two of one slug",
    "two triggers have the name": "nothing could tell the two automations apart",
    "has no default and no value": "a run without a required parameter fails",
    ".parameters: '": "a run of a schedule or a trigger with a value that its type does not accept fails",
    "cannot be stored in JSON": "Prefect registers null for it",
    "lacks '": "a run with a part of a model fails",
    "no run of any schedule": "the server fails on a date that never comes",
    "ends with Z and there is no DTSTART": "the server fails on such a rule",
    "is the output of a build or push step": "its value is known to the build step alone",
    "is replaced in job_variables only": "its value is known to the server alone",
}
"""Part of a refusal -> why this project refuses what Prefect takes: docs/bring-your-prefect-yaml.md has the list."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "f.py").write_text(FLOW)
    # With an address Prefect starts no server of its own.
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api", PREFECT_LOGGING_LEVEL: "CRITICAL"}):
        yield folder


@settings(
    max_examples=CASES,
    derandomize=REPEATABLE,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
@given(content=files())
def test_a_generated_file_registers_what_prefect_registers(content: dict[str, Any], folder: Path) -> None:
    event(_compare(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), folder))


@pytest.mark.parametrize("text", [pytest.param(case["file"], id=case["kind"]) for case in json.loads(KEPT.read_text())])
def test_a_file_that_once_differed_registers_what_prefect_registers(text: str, folder: Path) -> None:
    _compare(text, folder)


def _compare(text: str, folder: Path) -> str:
    path = folder / "prefect.yaml"
    path.write_text(text)
    start = time.process_time()
    try:
        ours: Any = by_us(path, ENVIRONMENT)
    except Refused as refusal:
        ours = str(refusal)
    assert time.process_time() - start < 5, "a file is read within seconds"
    if isinstance(ours, str) and any(part in ours for part in ON_PURPOSE):
        return "refused here on purpose"
    try:
        theirs = _by_design(by_prefect(path, ENVIRONMENT), folder)
    except Refused:
        return "refused by Prefect"  # this project may take more: null for an empty mapping, a number for a text
    assert ours == theirs
    return "registered by both"


def _by_design(deployments: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Change what Prefect registers in the ways in which this project differs on purpose."""
    for fields in deployments.values():
        for number, schedule in enumerate(fields["schedules"], 1):
            # A schedule without a slug gets one, and a timezone is written out.
            schedule["slug"] = schedule["slug"] or f"schedule-{number}"
            schedule["schedule"]["timezone"] = schedule["schedule"].get("timezone") or "UTC"
        fields["work_queue_name"] = fields["work_queue_name"] or "default"
        # The image has the code, so there is no default pull step, and a file is registered as its module. The default
        # of a deployment with a built image is a folder of that image.
        defaults = [
            [{"prefect.deployments.steps.set_working_directory": {"directory": place}}]
            for place in (str(folder), "/opt/prefect")
        ]
        if fields["pull_steps"] in defaults:
            fields["pull_steps"] = []
        if not fields["pull_steps"]:
            fields["entrypoint"] = re.sub(r"^(\w+)\.py:", r"\1.", fields["entrypoint"])
    return deployments
