"""Verbs about what the images are made of."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from tools import stackfile
from tools.paths import ROOT
from tools.progress import say
from tools.supply_chain import audit, base_image, contents, waivers
from tools.verbs.common import images, select


def check(_: argparse.Namespace) -> int:
    """Look up the known vulnerabilities of all locked packages; return 1 if there is one without a waiver."""
    accepted = waivers.read(today=datetime.now(UTC).date())
    result = audit.audit(audit.locks(), accepted)
    for line in result.lines():
        say(f"    {line}")
    passed = f"    {result.looked_up} packages have no known vulnerability without a waiver"
    say(passed if result.passed else "    SECURITY.md says what to do")
    return int(not result.passed)


def pin(arguments: argparse.Namespace) -> int:
    """Write the digests of the base images into the stack's file."""
    settings = stackfile.check(arguments.stack, stackfile.read(arguments.stack), {})
    file = stackfile.tracked(arguments.stack)
    before = file.read_text()
    pins = base_image.pins(settings.image, base_image.digest)
    after = base_image.written(before, pins)
    file.write_text(after)
    for path, reference in pins.items():
        say(f"    {'.'.join(path)}: {reference}")
    say(f"    {file.name} {'names them already' if after == before else 'was changed'}")
    return 0


def list_contents(arguments: argparse.Namespace) -> int:
    """Write a CycloneDX document for each image of the stack that is up."""
    selection = select(arguments)
    folder = ROOT / ".build" / arguments.stack / "sbom"
    folder.mkdir(parents=True, exist_ok=True)
    for name, reference in images(selection.stack).items():
        for document in contents.documents(reference, contents.lock(selection.settings.image, name)):
            file = folder / f"{name}-{document.platform.replace('/', '-')}.cdx.json"
            file.write_text(document.text)
            say(f"    {file.relative_to(ROOT)}: {document.python} Python packages, {document.debian} Debian packages")
            if not document.debian:
                say("    the image has no dpkg database, so the packages of its base are not listed")
    return 0
