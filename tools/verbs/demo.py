"""The sample run: that of the first `make up` of a stack, and of `make demo`."""

from __future__ import annotations

import argparse
from typing import Final

from infra.validation import Plan
from tools import stackfile
from tools.errors import Problem
from tools.verbs.common import Selection, require_up, select

TAG: Final = "example"
"""The first deployment in prefect.yaml with this tag is the sample."""


def demo(arguments: argparse.Namespace) -> int:
    """Run the sample flow and follow it."""
    selection = select(arguments)
    name = sample(stackfile.load_plan(selection.stack.name, selection.settings))
    if not name:
        raise Problem(
            f"No deployment in prefect.yaml has the tag '{TAG}'",
            remedy="Give it to the one that `make demo` is to run, or use make run FLOW=<flow>/<deployment>",
        )
    require_up(selection)
    return follow(selection, name)


def sample(plan: Plan) -> str:
    """Return `<flow>/<deployment>` of the sample, empty when there is none."""
    specs = [spec for members in plan.deployments.values() for spec in members]
    return next((spec.key for spec in specs if TAG in spec.tags), "")


def follow(selection: Selection, deployment: str) -> int:
    """Run a deployment to its end and return its exit status."""
    # Prefect's client takes seconds to import, and most calls of `make up` follow no run.
    from tools.runs.verbs import start_and_follow  # noqa: PLC0415

    return start_and_follow(selection.stack, selection.target, selection.settings, deployment)
