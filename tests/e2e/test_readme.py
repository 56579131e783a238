"""The quick commands of README.md, typed as they are written there. The others are in tests/full."""

from __future__ import annotations

import json

import pytest

from tests.e2e.clones import changes
from tests.e2e.newcomer import Newcomer
from tests.e2e.typed import RUN, type_as_written
from tests.readme_commands import TESTS, Way


def last_run(newcomer: Newcomer) -> str:
    """Return the name of the last flow run that completed."""
    command = ".venv/bin/prefect flow-run ls --state Completed --limit 1 --output json"
    done = newcomer.shell(command)
    assert done.status == 0, done.progress
    return str(json.loads(done.output)[0]["name"])


@pytest.mark.parametrize("command", [command for command, test in TESTS.items() if test.way is Way.E2E])
def test_a_quick_command_of_the_readme_works_as_written(command: str, newcomer: Newcomer) -> None:
    before = changes(newcomer.clone)
    run = last_run(newcomer) if RUN in command else ""
    type_as_written(newcomer, command, TESTS[command], run=run)
    assert changes(newcomer.clone) == before
