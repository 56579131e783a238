"""Docker on this machine, by its command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tools.errors import Problem

ANSWER: Final = 20.0
"""Seconds for an answer about the present state."""
WORK: Final = 900.0
"""Seconds for work that pulls an image."""

_FORCED_PLATFORM: Final = "DOCKER_DEFAULT_PLATFORM"
"""On Apple silicon some people set it to linux/amd64. Nodes of an emulated architecture do not start, so here
everything has Docker's own."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """What Docker says about itself.

    Attributes:
        system: operating system of its containers, `linux`.
        memory: bytes, on macOS and Windows those of its virtual machine.
        processors: number of them.

    """

    system: str
    memory: int
    processors: int


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment of docker and kind."""
    own = {name: value for name, value in os.environ.items() if name != _FORCED_PLATFORM}
    return {**own, "KIND_EXPERIMENTAL_PROVIDER": "docker", **(extra or {})}


def attempt(
    *command: str, seconds: float = ANSWER, stdin: str = "", extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, whatever its exit status; that of one which does not answer is 124.

    Args:
        command: program and arguments.
        seconds: that it may take.
        stdin: what it reads.
        extra: variables of its environment.

    """
    try:
        return subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env=environment(extra),
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"no answer within {seconds:.0f} s")
    except OSError as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def run(
    *command: str,
    remedy: str,
    seconds: float = ANSWER,
    stdin: str = "",
    extra: Mapping[str, str] | None = None,
) -> str:
    """Run a command and return what it prints.

    Raises:
        Problem: it failed; the detail is the end of its messages.

    """
    done = attempt(*command, seconds=seconds, stdin=stdin, extra=extra)
    if done.returncode != 0:
        words = [word for word in command[:4] if not word.startswith("-")]
        name = os.path.basename(words[0])  # noqa: PTH119  a word of a command line
        raise Problem(
            f"`{' '.join([name, *words[1:]])}` failed",
            remedy=remedy,
            detail="\n".join((done.stderr or done.stdout).splitlines()[-12:]),
        )
    return done.stdout


def engine() -> Engine:
    """Ask the engine what it is.

    Raises:
        Problem: Docker is not installed, or its engine does not answer.

    """
    if shutil.which("docker") is None:
        raise Problem(
            "Docker, in which kind runs the nodes, is not installed",
            remedy="Install Docker (on macOS and Windows Docker Desktop or the like) and start it",
        )
    done = attempt("docker", "info", "--format", "{{json .}}")
    facts = _parsed(done.stdout)
    # A client without an engine prints the facts about itself.
    errors = facts.get("ServerErrors") or done.stderr.strip().splitlines()[-1:]
    if done.returncode != 0 or facts.get("ServerErrors") or not facts.get("OSType"):
        reason = str(errors[0] if errors else "an answer that is not Docker's").rstrip(".")
        denied = "permission denied" in reason.lower()
        raise Problem(
            f"Docker does not answer ({reason})",
            remedy="Add yourself to the group `docker` and log in again"
            if denied
            else "Start Docker; `docker run hello-world` must work",
        )
    return Engine(
        system=str(facts["OSType"]), memory=int(facts.get("MemTotal") or 0), processors=int(facts.get("NCPU") or 0)
    )


def _parsed(text: str) -> dict[str, Any]:
    try:
        facts = json.loads(text)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def is_running(container: str) -> bool | None:
    """Return whether a container runs; None if there is none of that name."""
    done = attempt("docker", "container", "inspect", "--format", "{{.State.Running}}", container)
    return done.stdout.strip() == "true" if done.returncode == 0 else None
