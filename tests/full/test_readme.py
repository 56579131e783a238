"""The commands of README.md that take long, typed as they are written there, its first flow included."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests import readme
from tests.e2e.newcomer import RUNS, Newcomer
from tests.e2e.typed import RUN, type_as_written
from tests.readme_commands import TESTS, Way
from tools.cluster.wait import until

LONG_RUN = ("digits/search", "--param", "folds=10", "--param", "trees=600")


@pytest.fixture
def stack(reader: Newcomer, command: str) -> Iterator[None]:
    """Bring the stack up again after a command that took it down: other modules use it too."""
    yield
    if TESTS[command].takes_down:
        done = reader.make("up")
        assert done.status == 0, done.progress


@pytest.fixture
def live_run(reader: Newcomer, command: str) -> Iterator[str]:
    """Provide the name of a run that is under way and has a Dask cluster; empty for a command that needs none."""
    if not TESTS[command].live_run:
        yield ""
        return
    run = reader.start(*LONG_RUN)
    label = f"ephemeral-dask/flow-run={run}"

    def pods() -> str:
        return reader.kubectl(
            "get", "pods", "-l", label, "--field-selector=status.phase=Running", "-o", "name", namespace=RUNS
        )

    assert until(lambda: "scheduler" in pods(), seconds=240, interval=1), "the run got no Dask cluster"
    done = reader.shell(f".venv/bin/prefect flow-run inspect {run} --output json")
    assert done.status == 0, done.progress
    yield str(json.loads(done.output)["name"])
    reader.shell(f".venv/bin/prefect flow-run cancel {run}")
    assert until(lambda: not pods(), seconds=180, interval=1), "the cancelled run does not end"


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("command", [command for command, test in TESTS.items() if test.way is Way.FULL])
def test_a_command_of_the_readme_works_as_written(command: str, reader: Newcomer, live_run: str) -> None:
    assert bool(live_run) == (RUN in command)
    type_as_written(reader, command, TESTS[command], run=live_run)


def test_the_first_flow_of_the_readme_runs_as_written_and_ends_with_the_result_shown(reader: Newcomer) -> None:
    example = readme.example(readme.README.read_text(encoding="utf-8"))
    (reader.clone / example.path).write_text(example.source)
    declarations = reader.clone / "prefect.yaml"
    before, outputs = declarations.read_text(), list[str]()
    for number, command in enumerate(example.commands):
        if number == example.declared_at:
            declarations.write_text(f"{before.rstrip()}\n\n{example.declaration}")
        done = reader.type(command)
        assert done.status == 0, done.progress
        outputs.append(done.output)
    for line in example.output.strip().splitlines():
        assert line in outputs[-1], outputs[-1]
    (reader.clone / example.path).unlink()
    declarations.write_text(before)
