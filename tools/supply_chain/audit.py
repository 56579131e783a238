"""Known vulnerabilities of the locked Python packages, as pip-audit reports them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tools import locked_environment
from tools.errors import Problem
from tools.paths import ROOT
from tools.supply_chain.waivers import Waiver

LOCK: Final = "audit"
"""The lock of pip-audit itself, and of what writes the lists of contents."""

Report = Mapping[str, Any]
"""What pip-audit prints as JSON."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A vulnerability of a locked package.

    Attributes:
        package: its name.
        version: the locked one.
        ids: the names of the vulnerability; the first is the one that is shown.
        fixed_in: the versions without it.
        locks: the files that have the package.

    """

    package: str
    version: str
    ids: tuple[str, ...]
    fixed_in: tuple[str, ...]
    locks: tuple[str, ...]

    def is_covered_by(self, waiver: Waiver) -> bool:
        """Return whether a waiver names this vulnerability."""
        return waiver.package.lower() == self.package.lower() and waiver.id in self.ids


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an audit has shown.

    Attributes:
        findings: vulnerabilities without a waiver.
        unneeded: waivers of vulnerabilities that no lock has.
        unknown: a sentence for each package that could not be looked up.
        looked_up: number of the other packages.

    """

    findings: tuple[Finding, ...]
    unneeded: tuple[Waiver, ...]
    unknown: tuple[str, ...]
    looked_up: int

    @property
    def passed(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.findings or self.unneeded)

    def lines(self) -> Iterable[str]:
        """Yield a sentence for each thing to do or to know."""
        for each in self.findings:
            remedy = f"raise it to {' or '.join(each.fixed_in)}" if each.fixed_in else "no release is without it"
            yield f"{each.package} {each.version} has {' = '.join(each.ids)} ({', '.join(each.locks)}): {remedy}"
        for waiver in self.unneeded:
            yield f"{waiver.id} of {waiver.package} is waived, and no lock has it: remove the waiver"
        yield from self.unknown


def locks() -> list[Path]:
    """Return every lock of the project."""
    return sorted((ROOT / "requirements").glob("*.txt"))


def pip_audit(lock: Path) -> Report:
    """Look the packages of a lock up in the advisories of the Python Packaging Authority.

    Raises:
        Problem: pip-audit could not do so.

    """
    program = locked_environment.programs(LOCK) / "pip-audit"
    # Without pip it resolves nothing, and builds nothing.
    how = ("--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off")
    done = subprocess.run([str(program), "--requirement", str(lock), *how], capture_output=True, text=True, check=False)
    try:
        report: Report = json.loads(done.stdout)
    except ValueError:
        raise Problem(
            f"{lock.name} could not be audited", remedy="Check that this machine reaches PyPI", detail=done.stderr
        ) from None
    return report


def audit(files: Iterable[Path], waivers: Iterable[Waiver], look_up: Callable[[Path], Report] = pip_audit) -> Result:
    """Audit locks.

    Args:
        files: the locks.
        waivers: those that hold.
        look_up: a lock -> its report.

    Raises:
        Problem: no package could be looked up.

    """
    waivers = tuple(waivers)
    by_key: dict[tuple[str, str, str], Finding] = {}
    unknown: dict[str, None] = {}
    known: set[str] = set()
    for file in files:
        for package in look_up(file)["dependencies"]:
            if "skip_reason" in package:
                unknown[f"{package['name']} was not looked up: {package['skip_reason']}"] = None
                continue
            known.add(package["name"])
            for one in package.get("vulns", ()):
                key = package["name"], package["version"], one["id"]
                earlier = by_key[key].locks if key in by_key else ()
                by_key[key] = Finding(
                    package=package["name"],
                    version=package["version"],
                    ids=(one["id"], *one.get("aliases", ())),
                    fixed_in=tuple(one.get("fix_versions", ())),
                    locks=(*earlier, file.name),
                )
    if unknown and not known:
        raise Problem(
            "No package could be looked up",
            remedy="Run it where PyPI itself is reachable: a mirror may have the packages without their advisories",
            detail=next(iter(unknown)),
        )
    findings = [by_key[key] for key in sorted(by_key)]
    return Result(
        findings=tuple(each for each in findings if not any(map(each.is_covered_by, waivers))),
        unneeded=tuple(one for one in waivers if not any(each.is_covered_by(one) for each in findings)),
        unknown=tuple(unknown),
        looked_up=len(known),
    )
