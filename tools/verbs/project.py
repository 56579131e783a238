"""Verbs about this project's own files and tests."""

from __future__ import annotations

import argparse

from tools import locks, prefect_yaml_check, reference, tiers
from tools.make import is_set, text


def check(_: argparse.Namespace) -> int:
    """Show what the prefect.yaml of FILE would register; return 1 if it would be refused."""
    page, accepted = prefect_yaml_check.report(prefect_yaml_check.located(text("FILE")), strict=is_set("STRICT"))
    print(page)
    return int(not accepted)


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
