"""From the last lines of a failed build to a sentence with a remedy."""

from __future__ import annotations

import re
from pathlib import Path

from tools.errors import Problem
from tools.toolchain.group import Group

SHOWN = 20
"""Lines of the log below the sentence: Go prints the error last."""

REASONS: tuple[tuple[str, str, str], ...] = (
    (
        r"no space left on device",
        "the disk is full",
        "Free some space (`go clean -cache` empties Go's build cache) and run it again",
    ),
    (
        r"SECURITY ERROR|checksum mismatch",
        "a module is not the one that the committed go.sum names",
        "Run `go clean -modcache` and try again; if it happens again, do not trust the module proxy",
    ),
    (
        r"missing go\.sum entry|updates to go\.(?:mod|sum) needed|inconsistent vendoring",
        "its go.mod and go.sum do not fit together",
        "Run `go mod tidy` in that folder under tools/gomod and commit both files",
    ),
    (
        r"x509:|certificate signed by unknown|tls: failed to verify",
        "the module proxy's certificate is not trusted here",
        "Install your network's root certificate, or point SSL_CERT_FILE at it",
    ),
    (
        r"disabled by GOPROXY=off",
        "a module is missing and GOPROXY=off forbids to fetch it",
        "Unset GOPROXY, or set it to a module proxy that you may use",
    ),
    (
        r"Proxy Authentication Required",
        "the HTTP proxy of this network asks for a password",
        "Put the user and password into HTTPS_PROXY",
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
        "Check the network, or set GOPROXY and HTTPS_PROXY to what it uses; what was fetched is kept",
    ),
    (
        r"signal: killed|cannot allocate memory|out of memory",
        "the compiler was killed, most likely for want of memory",
        "Stop what else is running, or set GOMAXPROCS=1, and run it again; what was compiled is kept",
    ),
)
"""What Go says, what it means, what to do. The first that matches is taken."""


def problem(group: Group, log: Path) -> Problem:
    """Why the build of `group` failed, as far as its log tells."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    text = "\n".join(lines[-200:])
    why, remedy = next(
        ((f": {meaning}", remedy) for pattern, meaning, remedy in REASONS if re.search(pattern, text)),
        ("", "Read the log; if files under tools/gomod were changed, put them back"),
    )
    detail = "\n".join([*lines[-SHOWN:], f"The whole log: {log}"])
    return Problem(f"{group} could not be built{why}", remedy=remedy, detail=detail)
