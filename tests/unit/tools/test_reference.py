from __future__ import annotations

from tools import reference


def test_the_page_of_settings_is_the_one_that_the_settings_make() -> None:
    assert reference.PATH.read_text() == reference.text(), "run `make settings-reference`"


def test_every_section_is_there_with_the_sentences_that_stand_beside_its_keys() -> None:
    page = reference.text()
    assert "## `prefect.database` (kind: postgresql)" in page
    assert "## `dask.profiles.<name>`" in page
    assert "| `ceiling` | number | `16` | No run gets more workers, whatever its deployment or trigger asks. |" in page
