"""The range of integers that Pulumi can store."""

from __future__ import annotations

from typing import Final

LARGEST_EXACT_INTEGER: Final = 2**53
"""Pulumi stores numbers as doubles, which represent every integer up to this one."""
