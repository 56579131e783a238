"""The stack files that the how-to guides show are valid, and what they say about them is so."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from infra import validation
from infra.naming import PROJECT
from tools.paths import ROOT

GUIDES = sorted({path.name for path in (ROOT / "docs").glob("*.md")} - {"pods.md"})
"""`pods.md` has a test of its own."""
IMAGE = {"builder": "docker-build", "registry": "registry.example.com/data"}


def examples() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield page and number, and the configuration, of every stack file in the guides."""
    for page in GUIDES:
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        blocks = re.findall(r"^( *)```yaml\n *config:\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
        for number, (indent, block) in enumerate(blocks):
            yield f"{page}-{number + 1}", yaml.safe_load(f"{indent}config:\n{block}")["config"]


EXAMPLES = dict(examples())


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_stack_file_of_a_guide_is_valid(name: str) -> None:
    values = {key.removeprefix(f"{PROJECT}:"): value for key, value in EXAMPLES[name].items()}
    assert validation.load_settings({"image": IMAGE, **values}, stack="dev")
