"""Verbs that back up a stack's data, and put it back."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from tools.backup import stack as stacks
from tools.backup.stack import Volumes
from tools.errors import Problem
from tools.make import text
from tools.progress import say
from tools.verbs.common import Selection, select


def back_up(arguments: argparse.Namespace) -> int:
    """Write the database of an embedded server and the task results to a file (FILE=)."""
    selection = select(arguments)
    volumes = _volumes(selection)
    name = selection.stack.name
    path = Path(text("FILE") or f"backup-{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}.zip").absolute()
    say(f"==> stack {name}: backing up")
    stacks.back_up(name, volumes, path)
    say(f"    wrote {path}; it holds the parameters and results of runs, so keep it as safe as those")
    return 0


def restore(arguments: argparse.Namespace) -> int:
    """Put back what a backup holds (FILE=)."""
    name = text("FILE")
    if not name:
        raise Problem("FILE is not set", remedy="Write: make restore FILE=backup-dev-20260101-120000.zip")
    selection = select(arguments)
    volumes = _volumes(selection)
    say(f"==> stack {selection.stack.name}: restoring {name}")
    stacks.restore(selection.stack.name, volumes, Path(name).absolute())
    say(f"    next: make up STACK={selection.stack.name}")
    say("    work pools and deployments are as the backup has them until then: the stack may declare others by now")
    return 0


def _volumes(selection: Selection) -> Volumes:
    stack = selection.stack
    outputs = stack.outputs() if stack.exists() else {}
    if not outputs:
        raise Problem(f"Stack {stack.name} is not up", remedy=f"Run make up STACK={stack.name}")
    return Volumes.of(stack.state(), outputs, selection.environment)
