"""A new flow with its test and its deployment, in the words of docs/flows.md."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from tools.errors import Problem

_NAME: Final = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")

_FLOW: Final = '''"""What this flow is for."""

from prefect import flow, task

from ephemeral_dask import ephemeral_dask


@task
def double(number: int) -> int:
    """Return twice the number."""
    return number * 2


@flow(task_runner=ephemeral_dask(maximum=4, worker_memory="1Gi"))
def {module}(count: int = 10) -> int:
    """Return the sum of what the tasks return, which run on the run's own Dask cluster."""
    return sum(double.map(range(count)).result())


if __name__ == "__main__":
    print({module}())
'''

_TEST: Final = """from collections.abc import Iterator

import pytest
from prefect.testing.utilities import prefect_test_harness

from flows.{module} import {module}, double


@pytest.fixture(scope="module", autouse=True)
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=120):
        yield


def test_a_task_doubles_its_number() -> None:
    assert double.fn(21) == 42


def test_the_flow_returns_the_sum() -> None:
    assert {module}(count=4) == 12
"""

_DEPLOYMENT: Final = """- name: default
  entrypoint: flows.{module}.{module}
  work_pool:
    name: {pool}
"""


@dataclass(frozen=True, kw_only=True)
class NewFlow:
    """The files of a new flow, which do not exist yet.

    Attributes:
        deployment: its name, `<flow>/<deployment>`.
        contents: file -> its whole new text; prefect.yaml is one of them.

    """

    deployment: str
    contents: dict[Path, str]

    def write(self) -> None:
        """Write all files."""
        for path, text in self.contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def plan(name: str, pool: str, root: Path) -> NewFlow:
    """Return what a new flow consists of. Nothing is written.

    Args:
        name: of the flow, in lower case, with `-` or `_` between words.
        pool: the work pool of its deployment.
        root: the project's folder.

    Raises:
        Problem: the name cannot be a flow's, a file exists, or prefect.yaml has no place for the deployment.

    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name in ("double", "flow", "task"):
        shown = f"NAME={name}" if name else "NAME, which is not set,"
        raise Problem(
            f"{shown} cannot be the name of a flow: it becomes the name of a Python function",
            remedy="Use lower-case letters, digits and hyphens, as in: make new-flow NAME=daily-report",
        )
    module = name.replace("-", "_")
    files = {
        root / "flows" / f"{module}.py": _FLOW,
        root / "tests" / "unit" / "flows" / f"test_{module}.py": _TEST,
    }
    for path in files:
        if path.exists():
            raise Problem(f"{path.relative_to(root)} exists; nothing was written", remedy="Choose another NAME")
    file = root / "prefect.yaml"
    entry = _DEPLOYMENT.format(module=module, pool=pool)
    contents = {path: text.format(module=module) for path, text in files.items()}
    contents[file] = _with_deployment(file, entry)
    return NewFlow(deployment=f"{module.replace('_', '-')}/default", contents=contents)


def _with_deployment(file: Path, entry: str) -> str:
    """Return the text of prefect.yaml with one more deployment; every other line, comments included, stays as it is."""
    text = file.read_text(encoding="utf-8") if file.exists() else "pull: []\n"
    try:
        root = yaml.compose(text)
    except yaml.YAMLError as error:
        raise Problem(
            f"{file.name} is not valid YAML: {error}", remedy="Correct it first; nothing was written"
        ) from None
    if not isinstance(root, yaml.MappingNode):
        raise _no_place(file, entry)
    deployments = next((value for key, value in root.value if key.value == "deployments"), None)
    if deployments is None or not deployments.value:
        if deployments is not None:
            raise _no_place(file, entry)
        return f"{text.rstrip()}\n\ndeployments:\n{_indented(entry, 2)}"
    if not isinstance(deployments, yaml.SequenceNode) or deployments.flow_style:
        raise _no_place(file, entry)
    lines = text.splitlines(keepends=True)
    last = _last_line(deployments.value[-1])
    head = "".join(lines[: last + 1])
    head += "" if head.endswith("\n") else "\n"
    extended = f"{head}\n{_indented(entry, deployments.start_mark.column)}{''.join(lines[last + 1 :])}"
    if yaml.safe_load(extended)["deployments"] != [*yaml.safe_load(text)["deployments"], *yaml.safe_load(entry)]:
        raise _no_place(file, entry)
    return extended


def _last_line(node: Any) -> int:
    """Return the line on which the last scalar of a node ends: a block collection itself ends at the next token."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style or not node.value:
        end = node.end_mark
        return int(end.line if end.column else end.line - 1)
    last = node.value[-1]
    # An alias has the marks of its anchor, so the key may be below its value.
    return max(map(_last_line, last)) if isinstance(last, tuple) else _last_line(last)


def _indented(text: str, columns: int) -> str:
    return "".join(f"{' ' * columns}{line}" for line in text.splitlines(keepends=True))


def _no_place(file: Path, entry: str) -> Problem:
    return Problem(
        f"{file.name} has no list `deployments` in block style to which a deployment can be added; nothing was written",
        remedy="Make it one, with a line for each deployment that begins with `- name:`",
        detail=entry,
    )
