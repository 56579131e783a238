"""Verbs about this project's own files and tests."""

from __future__ import annotations

import argparse

from tools import locks, reference, tiers


def settings_reference(_: argparse.Namespace) -> int:
    """Write docs/settings.md from the settings' types."""
    reference.write()
    return 0


def lock(_: argparse.Namespace) -> int:
    """Resolve pyproject.toml into requirements/*.txt."""
    locks.resolve()
    return 0


def test(arguments: argparse.Namespace) -> int:
    """Run tiers of tests."""
    return tiers.run(arguments.tiers)
