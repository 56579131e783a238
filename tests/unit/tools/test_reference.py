from __future__ import annotations

from tools import reference


def test_the_settings_page_is_up_to_date() -> None:
    assert reference.PATH.read_text() == reference.text(), "run `make settings-reference`"


def test_every_section_has_the_docstrings_of_its_keys() -> None:
    page = reference.text()
    assert "## `prefect.database` (kind: postgresql)" in page
    assert "## `dask.profiles.<name>`" in page
    assert (
        "| `ceiling` | number | `16` | The most workers that any run gets, whatever its deployment or code sets. |"
        in page
    )
