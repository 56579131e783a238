"""Verbs about this project's own files and tests."""

from __future__ import annotations

import argparse

from tools import api_reference as api
from tools import docs_site, locks, new_flow, prefect_yaml_check, reference, stackfile, tiers, update
from tools.make import is_set, text
from tools.paths import ROOT
from tools.progress import say


def check(_: argparse.Namespace) -> int:
    """Show what the prefect.yaml of FILE would register; return 1 if it would be refused."""
    page, accepted = prefect_yaml_check.report(prefect_yaml_check.located(text("FILE")), strict=is_set("STRICT"))
    print(page)
    return int(not accepted)


def create_flow(arguments: argparse.Namespace) -> int:
    """Write a new flow, its test and its deployment (NAME=)."""
    settings = stackfile.check(arguments.stack, stackfile.read(arguments.stack), {})
    new = new_flow.plan(text("NAME"), next(iter(settings.work_pools)), ROOT)
    new.write()
    for path in new.contents:
        say(f"    wrote {path.relative_to(ROOT)}")
    say(f"    make up, and then: make run FLOW={new.deployment}")
    return 0


def settings_reference(_: argparse.Namespace) -> int:
    """Write docs/settings.md from the settings' types."""
    reference.write()
    return 0


def api_reference(_: argparse.Namespace) -> int:
    """Write docs/api.md from the package that flows import."""
    api.write()
    return 0


def site(_: argparse.Namespace) -> int:
    """Build the documentation site, with every link checked."""
    docs_site.build()
    say(f"    wrote {docs_site.SITE.relative_to(ROOT)}/index.html")
    return 0


def lock(_: argparse.Namespace) -> int:
    """Resolve pyproject.toml into requirements/*.txt."""
    locks.resolve()
    return 0


def refresh(_: argparse.Namespace) -> int:
    """Raise the locked versions, and the pins of the families that PINS names."""
    families = text("PINS").replace(",", " ").split()
    changes = update.update(ROOT, families)
    print(update.page(changes, families))
    if changes:
        say("    make venv lint unit engine, and commit pyproject.toml and requirements/ together")
    return 0


def test(arguments: argparse.Namespace) -> int:
    """Run tiers of tests."""
    return tiers.run(arguments.tiers)
