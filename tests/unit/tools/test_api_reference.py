from __future__ import annotations

import inspect

import ephemeral_dask
from tools import api_reference


def test_the_page_is_up_to_date() -> None:
    assert api_reference.PATH.read_text() == api_reference.text(), "run `make api-reference`"


def test_the_page_has_every_public_name_with_every_argument_and_no_other_name() -> None:
    page = api_reference.text()
    headings = [line.removeprefix("## ") for line in page.splitlines() if line.startswith("## ")]
    assert headings == ephemeral_dask.__all__
    for name in headings:
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        for argument in inspect.signature(getattr(ephemeral_dask, name)).parameters:
            assert f"| `{argument}` |" in section
