"""Explaining a failed build, from the last lines of its log."""

from __future__ import annotations

import re
from pathlib import Path

from tools.errors import Problem
from tools.toolchain.group import Group

LOG_LINES = 20
"""Lines of the log in the problem's detail: Go prints the error last."""

REASONS: tuple[tuple[str, str, str], ...] = (
    (
        r"no space left on device",
        "the disk is full",
        "Free some space (`go clean -cache` empties Go's build cache) and run it again",
    ),
    (
        r"SECURITY ERROR|checksum mismatch",
        "a module differs from the committed go.sum",
        "Run `go clean -modcache` and try again; if it happens again, do not trust the module proxy",
    ),
    (
        r"missing go\.sum entry|updates to go\.(?:mod|sum) needed|inconsistent vendoring",
        "its go.mod and go.sum do not match",
        "Run `go mod tidy` in that folder under tools/gomod and commit both files",
    ),
    (
        r"x509:|certificate signed by unknown|tls: failed to verify",
        "the module proxy's certificate is not trusted here",
        "Install your network's root certificate, or point SSL_CERT_FILE at it",
    ),
    (
        r"disabled by GOPROXY=off",
        "a module is missing and GOPROXY=off forbids its download",
        "Unset GOPROXY, or set it to a module proxy that you may use",
    ),
    (
        r"Proxy Authentication Required",
        "the HTTP proxy of this network requires a password",
        "Set HTTPS_PROXY to its address with user and password",
    ),
    (
        r": (?:401|403|410) |(?:401 Unauthorized|403 Forbidden|410 Gone)",
        "the module proxy refuses to serve a module",
        "Set GOPROXY to a module proxy that serves it",
    ),
    (
        r"reading http\S*: 404|404 Not Found",
        "the module proxy does not have a module",
        "Set GOPROXY to a module proxy that serves it",
    ),
    (
        (
            r"dial (?:tcp|udp)|lookup \S+.*(?:no such host|server misbehaving|i/o timeout)|proxyconnect"
            r"|connection (?:refused|reset)|network is unreachable|TLS handshake timeout|i/o timeout"
            r"|context deadline exceeded|Client\.Timeout|: 50[234] |50[234] (?:Bad|Service|Gateway)"
        ),
        "the Go module proxy cannot be reached",
        "Check the network, or set GOPROXY and HTTPS_PROXY to its proxies; Go keeps what it has downloaded",
    ),
    (
        r"signal: killed|cannot allocate memory|out of memory",
        "the compiler was killed, most likely because memory ran out",
        "Stop other programs, or set GOMAXPROCS=1, and run it again; Go keeps what it has compiled",
    ),
)
"""Pattern in Go's output, its meaning, the remedy. The first match counts."""


def problem(group: Group, log: Path) -> Problem:
    """Return why the build of `group` failed, as far as its log shows."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    text = "\n".join(lines[-200:])
    why, remedy = next(
        ((f": {meaning}", remedy) for pattern, meaning, remedy in REASONS if re.search(pattern, text)),
        ("", "Read the log; if files under tools/gomod were changed, restore them"),
    )
    detail = "\n".join([*lines[-LOG_LINES:], f"The whole log: {log}"])
    return Problem(f"{group} could not be built{why}", remedy=remedy, detail=detail)
