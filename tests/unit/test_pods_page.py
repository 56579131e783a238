"""The stack files of docs/pods.md are valid, and everything that they name is on the page."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from infra import pod_patches, validation
from tests import howtos
from tools.paths import ROOT

PAGE = (ROOT / "docs" / "pods.md").read_text()
IMAGE = {"registry": "localhost:5001", "builder": "docker-build"}
SNIPPETS = [yaml.safe_load(text)["config"] for text in howtos.fenced(PAGE, "yaml")]


@pytest.mark.parametrize("config", SNIPPETS, ids=[", ".join(each) for each in SNIPPETS])
def test_every_stack_file_of_the_page_is_valid(config: dict[str, Any]) -> None:
    values = {key.removeprefix("ephemeral-dask:"): value for key, value in config.items()}
    settings = validation.load_settings({"image": IMAGE, **values}, stack="dev")
    assert pod_patches.errors(settings) == []


def test_the_page_has_a_snippet_for_each_how_to() -> None:
    for heading in (
        "A secret",
        "A volume",
        "A private CA",
        "A GPU",
        "Spot nodes",
        "Big clusters",
        "Anything else: a patch",
        "Job variables of your own",
    ):
        section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        assert "```yaml" in section, heading
