"""Services of the machine that packages enable when they are installed; the cluster starts its programs itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tools.cluster import files
from tools.cluster.programs import run

POLICY: Final = Path("/usr/sbin/policy-rc.d")
"""Debian runs this program before it starts a service; exit status 101 forbids the start."""

MARK: Final = "# Made by ephemeral-dask while it installs packages; safe to delete."
"""Tells a policy that a killed process has left from one of the machine's own."""

_SYSTEM: Final = Path("/etc/systemd/system")
_INIT: Final = Path("/etc")


def enabled(system: Path = _SYSTEM, init: Path = _INIT) -> frozenset[Path]:
    """Return the links by which systemd, and the scripts by which other init systems, start services with the machine.

    Packages make them on a machine without a running systemd as well.
    """
    units = {link for kind in ("wants", "requires") for link in system.glob(f"*.{kind}/*")}
    return frozenset(units | set(init.glob("rc[2-5].d/S[0-9][0-9]*")))


def disable(links: frozenset[Path], call: Callable[..., object] = run) -> None:
    """Disable the services that have these links. An upgrade of their packages does not enable them again."""
    scripts = {link for link in links if link.parent.name.startswith("rc")}
    for link in links - scripts:
        link.unlink(missing_ok=True)
    # Without any link, an upgrade would take the script for a new one.
    for name in sorted({link.name[3:] for link in scripts}):
        call("update-rc.d", name, "disable")


def remove_policy(policy: Path = POLICY) -> None:
    """Remove the policy if a process of this project has made it."""
    with contextlib.suppress(OSError):
        if MARK in policy.read_text(errors="replace"):
            policy.unlink()


@contextlib.contextmanager
def stay_off(
    policy: Path = POLICY,
    listed: Callable[[], frozenset[Path]] = enabled,
    undo: Callable[[frozenset[Path]], None] = disable,
) -> Iterator[None]:
    """Let packages neither start their services nor enable them; a policy of the machine's own stays as it is."""
    remove_policy(policy)
    before = listed()
    ours = not policy.exists()
    if ours:
        files.write(policy, f"#!/bin/sh\n{MARK}\nexit 101\n", mode=0o755)
    try:
        yield
    finally:
        if ours:
            policy.unlink(missing_ok=True)
        undo(listed() - before)
