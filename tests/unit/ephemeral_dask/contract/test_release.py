from __future__ import annotations

import tomllib

from ephemeral_dask.contract import environment
from ephemeral_dask.contract.release import RELEASE, skew
from tools.paths import ROOT


def test_the_release_is_the_version_of_the_package() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == RELEASE


def test_another_release_of_the_program_is_named_with_that_of_the_image() -> None:
    text = skew({environment.RELEASE: "9.9.9"})
    assert f"ephemeral_dask {RELEASE}" in text
    assert "deployed by release 9.9.9" in text


def test_the_same_release_and_a_laptop_are_silent() -> None:
    assert skew({environment.RELEASE: RELEASE}) == skew({}) == ""
