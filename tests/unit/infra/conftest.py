from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from infra import program
from tests.mocks import Recorder, Render, rendering

__all__ = ["Recorder", "Render"]


@pytest.fixture
def render() -> Iterator[Render]:
    """Build something under mocks and return what it registered."""
    with rendering() as run:
        yield run


@pytest.fixture(autouse=True)
def own_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the program read the tests' own prefect.yaml, so that the sample flows may change or go."""
    monkeypatch.setattr(program, "ROOT", Path(__file__).parents[2] / "project")
