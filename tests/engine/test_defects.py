"""What was once read in another way: registered by Prefect's deploy code and by this project on a real server.

The unit tier and test_prefect_yaml_corpus.py try the same cases without a server.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from infra.prefect_yaml.load import DeploymentError
from tests.engine.deployed import deploy, registered
from tests.engine.prefect_yaml_files import FLOW
from tests.engine.test_prefect_yaml_corpus import ENVIRONMENT, KEPT, ON_PURPOSE
from tests.support import flow_project, prefect_deploy
from tests.support.flow_cases import EQUAL, write_project

POOL: Final = {
    "name": "pool",
    "type": "kubernetes",
    "base_job_template": {
        "job_configuration": {"env": "{{ env }}"},
        "variables": {"type": "object", "properties": {"env": {"type": "object"}}},
    },
}

OWN: Final = ("id", "version", "version_id", "version_info", "code_repository_url")
"""What Prefect makes out of the source where nothing is declared."""

FILE: Final = """
pull: []
deployments:
  - {name: d, version: "1", entrypoint: "%s", work_pool: {name: pool}}
"""


@pytest.fixture(scope="module")
def server(prefect_server: str) -> Iterator[str]:
    """Point Prefect's own code at the server."""
    with temporary_settings({PREFECT_API_URL: prefect_server, PREFECT_LOGGING_LEVEL: "CRITICAL"}):
        yield prefect_server


@pytest.fixture
def pool(prefect: Any) -> Iterator[Any]:
    """Give the server the pool that the files name."""
    prefect.call("POST", "/work_pools/", POOL)
    yield prefect
    prefect.call("DELETE", "/work_pools/pool")


@pytest.mark.parametrize("case", EQUAL)
def test_a_flow_is_registered_as_prefect_registers_it(case: str, server: str, pool: Any, tmp_path: Path) -> None:
    files, entrypoint = EQUAL[case]
    write_project(tmp_path, files)
    (tmp_path / "prefect.yaml").write_text(FILE % entrypoint)
    _compare(tmp_path, server, pool)


@pytest.mark.parametrize("case", [pytest.param(each, id=each["kind"]) for each in json.loads(KEPT.read_text())])
def test_a_file_is_registered_as_prefect_registers_it(
    case: dict[str, str], server: str, pool: Any, tmp_path: Path
) -> None:
    (tmp_path / "f.py").write_text(FLOW)
    (tmp_path / "prefect.yaml").write_text(case["file"])
    try:
        _compare(tmp_path, server, pool)
    except prefect_deploy.Refused:
        registered(pool)  # this project may take more: null for an empty mapping, a number for a text


def _compare(folder: Path, server: str, prefect: Any) -> None:
    try:
        deploy(folder, server, ENVIRONMENT)
    except DeploymentError as refusal:
        assert any(part in str(refusal) for part in ON_PURPOSE), refusal  # noqa: PT017  accepted otherwise
        return
    ours = registered(prefect)
    with flow_project.imports(folder):
        prefect_deploy.deploy(folder / "prefect.yaml", ENVIRONMENT)
    theirs = registered(prefect)
    assert set(ours) == set(theirs)
    for name, expected in theirs.items():
        assert _normal(ours[name]) == _normal(expected, ours[name], folder)


def _normal(fields: dict[str, Any], ours: dict[str, Any] | None = None, folder: Path | None = None) -> dict[str, Any]:
    """Return fields of a deployment without what differs by design: docs/bring-your-prefect-yaml.md has the list."""
    fields = {name: value for name, value in fields.items() if name not in OWN}
    for schedule in fields["schedules"].values():
        schedule["schedule"]["timezone"] = schedule["schedule"].get("timezone") or "UTC"
        anchor = schedule["schedule"].get("anchor_date")
        if anchor and abs(dt.datetime.now(dt.UTC) - dt.datetime.fromisoformat(anchor)) < dt.timedelta(minutes=10):
            del schedule["schedule"]["anchor_date"]  # none is declared, so it is the time of the registration
    fields["schedules"] = sorted(fields["schedules"].values(), key=json.dumps)
    if ours is not None:
        if fields["description"] == "None":
            fields["description"] = None
        default = [{"prefect.deployments.steps.set_working_directory": {"directory": str(folder)}}]
        if not ours["pull_steps"] and fields["pull_steps"] == default:
            fields["pull_steps"] = ours["pull_steps"]
        if not ours["pull_steps"]:
            fields["entrypoint"] = ours["entrypoint"]
    return fields


def test_prefect_describes_a_flow_without_a_docstring_as_none_in_words(server: str, pool: Any, tmp_path: Path) -> None:
    write_project(tmp_path, "@flow\ndef f(n: int = 1): ...")
    (tmp_path / "prefect.yaml").write_text(FILE % "f.py:f")
    deploy(tmp_path, server, ENVIRONMENT)
    assert registered(pool)["d"]["description"] is None
    with flow_project.imports(tmp_path):
        prefect_deploy.deploy(tmp_path / "prefect.yaml", ENVIRONMENT)
    assert registered(pool)["d"]["description"] == "None"
