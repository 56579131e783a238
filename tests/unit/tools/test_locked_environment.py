from __future__ import annotations

import pytest

from tools import locked_environment
from tools.errors import Problem


def test_a_lock_that_an_adopted_repository_does_not_have_is_named() -> None:
    with pytest.raises(Problem, match=r"requirements/absent\.txt is missing") as raised:
        locked_environment.programs("absent")
    assert "docs/adopt.md" in str(raised.value.remedy)
