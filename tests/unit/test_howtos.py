"""Every block of commands of the how-to pages has a test, which exists."""

from __future__ import annotations

import ast
import textwrap

import pytest

from tests import howtos
from tests.howto_commands import IN_PRODUCTION, TESTS
from tests.ways import Way
from tools.paths import ROOT

ENTRIES = [(page, block, test) for page, of_page in TESTS.items() for block, test in of_page.items()]


@pytest.mark.parametrize("page", howtos.pages())
def test_every_block_of_a_page_is_tested_or_has_a_reason_why_not(page: str) -> None:
    assert [block for block in howtos.blocks(page) if block not in TESTS.get(page, {})] == []


def test_no_test_is_kept_for_a_block_that_is_gone() -> None:
    assert set(TESTS) <= set(howtos.pages())
    assert [(page, block) for page, block, _ in ENTRIES if block not in howtos.blocks(page)] == []


def test_a_block_is_typed_here_or_by_a_test_that_exists_or_a_reason_says_why_not() -> None:
    for page, block, test in ENTRIES:
        assert test.way in (Way.FULL, Way.NAMED, Way.ELSEWHERE), (page, block)
        assert (test.way is Way.NAMED) == bool(test.by), (page, block)
        assert (test.way is Way.ELSEWHERE) == bool(test.reason), (page, block)
    named = {test.by for *_, test in ENTRIES if test.by}
    assert sorted(each for each in named if not exists(each)) == []


def test_what_is_typed_instead_of_something_takes_the_place_of_what_the_block_has() -> None:
    replaced = [(block, shown) for _, block, test in ENTRIES for shown in test.instead or ()]
    assert [(block, shown) for block, shown in replaced if shown not in block] == []


def test_all_that_other_pages_type_about_a_stack_for_production_is_on_its_page() -> None:
    lines = {line for block in howtos.blocks("docs/production.md") for line in block.splitlines()}
    others = [block for page, block, test in ENTRIES if test is IN_PRODUCTION and page != "docs/production.md"]
    assert others
    assert [line for block in others for line in block.splitlines() if line not in lines] == []


def test_a_test_is_missing_if_its_file_or_function_is() -> None:
    here = "tests/unit/test_howtos.py"
    assert exists(f"{here}::test_a_test_is_missing_if_its_file_or_function_is")
    assert not exists(f"{here}::test_of_nothing")
    assert not exists("tests/unit/test_of_nothing.py::test_of_nothing")


def test_blocks_are_found_as_a_whole_and_in_lists() -> None:
    text = """
    1. First:

        ```bash
        for each in a b; do
          make $each
        done
        ```

    ```yaml
    make: nothing
    ```

    ```sh
    make two
    ```
    """
    assert howtos.found(textwrap.dedent(text)) == ["for each in a b; do\n  make $each\ndone", "make two"]


def exists(test: str) -> bool:
    """Whether a file of the repository has a function of this name: `file::function`."""
    file, _, function = test.partition("::")
    path = ROOT / file
    if not path.is_file():
        return False
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body)
