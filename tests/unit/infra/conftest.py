from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mocks import Recorder, Render, rendering

__all__ = ["Recorder", "Render"]


@pytest.fixture
def render() -> Iterator[Render]:
    """Build something under mocks and return what it registered."""
    with rendering() as run:
        yield run
