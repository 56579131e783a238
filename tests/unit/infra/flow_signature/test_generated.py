"""Flow sources that a grammar makes: what is read is what Prefect's own code says, or a note says what was left out.

`FLOW_SOURCES=5000 pytest tests/unit/infra/flow_signature/test_generated.py` tries as many, and others each time.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings

from tests.support import flow_project
from tests.support.flow_grammar import HEAD, projects

EXAMPLES = int(os.environ.get("FLOW_SOURCES", "200"))

_numbers = itertools.count()


def _file(*lines: str) -> tuple[dict[str, str], str]:
    return {"jobs.py": "\n".join([HEAD, "from prefect import flow", *lines])}, "jobs.py:run"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generated")


@settings(
    max_examples=EXAMPLES,
    derandomize="FLOW_SOURCES" not in os.environ,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(project=projects())
# Each of these was once read otherwise than Prefect loads it.
@example(project=_file("globals()['ROWS'] = 2", "@flow", "def run(a: int = ROWS): ..."))
@example(project=_file("x1 = 'a'", "globals().update(x1=...)", "@flow", "def run(a: bytes = x1): ..."))
@example(project=_file("ROWS = str({'k': object()})", "@flow", "def run(a: str = ROWS): ..."))
@example(project=_file("ROWS = list({'a', 'b', 'c'})", "@flow", "def run(a: list[str] = ROWS): ..."))
@example(
    project=_file(
        "from pydantic.v1 import BaseModel as FirstModel",
        "class Kind(FirstModel): ...",
        "@flow",
        "def run(a: Annotated[Kind, Field(description='What.')] = date.today()): ...",
    )
)
def test_a_generated_flow_is_read_as_prefect_loads_it(folder: Path, project: tuple[dict[str, str], str]) -> None:
    files, entrypoint = project
    root = folder / f"p{next(_numbers)}"
    flow_project.write(root, files)
    ours, theirs = flow_project.ours(root, entrypoint), flow_project.prefects(root, entrypoint)
    assert flow_project.differences(ours, theirs) == []
    assert ours.seconds < flow_project.BOUNDED
