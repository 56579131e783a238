"""The range of integers that Pulumi can store."""

from __future__ import annotations

from typing import Any, Final

LARGEST_EXACT_INTEGER: Final = 2**53
"""Largest integer up to which a double represents every integer exactly."""


def is_exact(value: Any) -> bool:
    """Return whether a double can hold a value; False only for integers that it would round."""
    return not isinstance(value, int) or abs(value) <= LARGEST_EXACT_INTEGER
