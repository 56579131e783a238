"""The blocks of commands of the how-to pages that a stack takes as they are written. Others have tests of their own."""

from __future__ import annotations

import re
import secrets
from typing import Final

import pytest

from tests import howtos
from tests.e2e.clones import changes
from tests.e2e.newcomer import Newcomer
from tests.e2e.typed import type_as_written
from tests.howto_commands import TESTS
from tests.support import terminal
from tests.ways import Way
from tools.paths import ROOT

CONSUMER: Final = "examples/consumer/README.md"
BLOCKS: Final = [
    pytest.param(page, block, id=f"{page}-{block.partition(chr(10))[0]}")
    for page, of_page in TESTS.items()
    for block, test in of_page.items()
    if test.way is Way.FULL
]


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_a_block_of_a_how_to_works_as_written(page: str, block: str, reader: Newcomer) -> None:
    before = changes(reader.clone)
    type_as_written(reader, block, TESTS[page][block])
    assert changes(reader.clone) == before


def test_a_secret_block_has_what_was_typed_at_the_terminal(reader: Newcomer) -> None:
    [block] = [each for each in howtos.blocks("docs/data.md") if "getpass" in each]
    password = secrets.token_urlsafe(16)
    done = terminal.typed(
        block, [("password: ", password)], folder=reader.clone, environment=reader.environment, seconds=300
    )
    assert done.status == 0, done.screen
    assert password not in done.screen
    load = "from prefect.blocks.system import Secret; print(Secret.load('warehouse').get())"
    stored = reader.shell(f'.venv/bin/python -c "{load}"; .venv/bin/prefect --no-prompt block delete secret/warehouse')
    assert stored.status == 0, stored.progress
    assert password in stored.output


def test_the_program_of_another_team_comes_and_goes_by_its_page(reader: Newcomer) -> None:
    comes, goes = howtos.blocks(CONSUMER)
    [look] = re.findall("See the result with `(.+?)`", (ROOT / CONSUMER).read_text())
    # At a terminal, Pulumi asks whether it may.
    done = reader.type(f"{comes}\n{look}\n{goes}", PULUMI_OPTION_YES="true")
    if done.status != 0:
        reader.shell("cd examples/consumer; pulumi destroy --yes --stack dev; pulumi stack rm --force --yes dev")
    assert done.status == 0, done.output + done.progress
    assert "PREFECT_API_URL: http://prefect-server.flows.svc:4200/api" in done.output
    assert "consumer" not in reader.kubectl("get", "namespaces", "-o", "name")
    assert changes(reader.clone) == ""
