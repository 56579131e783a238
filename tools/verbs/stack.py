"""Verbs that change a stack, or show how it would change."""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from infra import job_template
from infra.job_template import JobTemplateArgs
from infra.settings import EmbeddedPrefect, Settings
from infra.validation import Plan
from tools import doctor, image_size, stackfile, summary
from tools.engine import diagnostics
from tools.engine.milestones import Milestones
from tools.errors import Problem
from tools.make import is_set, text
from tools.progress import duration, say, status
from tools.stack import Stack
from tools.targets import choice
from tools.verbs import data, demo
from tools.verbs.common import Selection, connect, images, select, wait_for_server


def up(arguments: argparse.Namespace) -> int:
    """Bring up the stack; the first time run the sample flow on it."""
    started = time.monotonic()
    cluster = choice.choose(arguments.cluster)
    say(f"==> cluster {cluster}")
    doctor.refuse_bad_start(arguments.stack, cluster=cluster.cluster)
    selection = select(arguments, start=True)
    stack = selection.stack
    plan = stackfile.load_plan(stack.name, selection.settings)
    say(f"==> stack {stack.name}")
    if cleared := stack.unlock():
        say(f"    cleared {cleared} lock of an update whose process is gone")
    state = stack.settle()
    _say_pending(state.pending)
    stack.prepare()
    if state.is_up:
        wait_for_server(selection)
    milestones = Milestones(lambda line: say(f"    {line}"))
    with status(milestones.describe):
        done = stack.up(milestones.take, say if is_set("VERBOSE") else None)
    for warning in diagnostics.warnings(done.events):
        say(f"    {warning}")
    if line := milestones.deployments():
        say(f"    {line}")
    say(f"    stack {stack.name} is up after {duration(time.monotonic() - started)}: {milestones.total()}")
    sample = demo.sample(plan)
    outcome = 0
    if sample and not state.is_up:
        outcome = demo.follow(selection, sample)
    options = _options(arguments)
    _say_addresses(done.outputs, selection.settings, options)
    _say_next_steps(plan, options)
    return outcome


def down(arguments: argparse.Namespace) -> int:
    """Destroy the stack with its data, leave the cluster."""
    selection = select(arguments)
    stack = selection.stack
    if not stack.exists():
        say(f"    stack {stack.name} does not exist: nothing to destroy")
        return 0
    data.confirm(stack.name, stack.state(), yes=is_set("YES"))
    started = time.monotonic()
    say(f"==> stack {stack.name}: destroying")
    stack.unlock()
    pending = stack.settle().pending
    _say_pending(pending)
    stack.prepare()
    if any(operation.startswith("creating ") for operation in pending):
        say("    what was created and not recorded is not destroyed: `make up` first takes it into the state")
    milestones = Milestones(lambda line: say(f"    {line}"))
    with status(milestones.describe):
        stack.destroy(milestones.take, say if is_set("VERBOSE") else None)
    say(f"    stack {stack.name} is down after {duration(time.monotonic() - started)}: {milestones.total()}")
    return 0


def preview(arguments: argparse.Namespace) -> int:
    """Show what `up` would change (DIFF=1: as Pulumi shows it)."""
    selection = select(arguments)
    stackfile.load_plan(selection.stack.name, selection.settings)
    _require_known(selection)
    selection.stack.prepare()
    if is_set("DIFF"):
        selection.stack.diff()
        return 0
    with status(lambda: f"preview of stack {selection.stack.name}"):
        page, failed = preview_page(selection)
    if sys.stdout.isatty():
        summary.show(page)
    else:
        print(page, end="")
    return int(failed)


def summarize(arguments: argparse.Namespace) -> int:
    """Print what `up` would change as Markdown for a pull request."""
    try:
        selection = select(arguments)
        stackfile.load_plan(selection.stack.name, selection.settings)
        _require_known(selection)
        selection.stack.prepare()
    except Problem as problem:
        print(summary.failure(arguments.stack, summary.Plan(), str(problem)), end="")
        raise
    page, failed = preview_page(selection)
    print(page, end="")
    return int(failed)


def unlock(arguments: argparse.Namespace) -> int:
    """Clear a backend lock whose process is gone."""
    stack = Stack(arguments.stack, connect(arguments))
    cleared = stack.unlock()
    say(f"    stack {stack.name}: {cleared or 'no'} dead lock{'' if cleared == 1 else 's'} cleared")
    return 0


def create(arguments: argparse.Namespace) -> int:
    """Create the file of a new stack from another one's, with a namespace of its own (NAME=)."""
    name = text("NAME")
    if not name:
        raise Problem("NAME is not set", remedy="Write: make stack NAME=staging")
    path = stackfile.create(name, source=arguments.stack)
    say(f"    wrote {path.name}, a copy of Pulumi.{arguments.stack}.yaml with a namespace of its own: edit it, then")
    say(f"    make up STACK={name}")
    return 0


def sizes(arguments: argparse.Namespace) -> int:
    """Print what a node pulls for the stack's images, layer by layer."""
    for name, reference in images(Stack(arguments.stack, connect(arguments))).items():
        print("\n".join(image_size.lines(f"{name} image", reference, image_size.measure(reference))))
    return 0


def preview_page(selection: Selection) -> tuple[str, bool]:
    """Return the page about a preview, and whether the preview failed."""
    preview = selection.stack.preview()
    plan = summary.parse(preview.events)
    if preview.error:
        return summary.failure(selection.stack.name, plan, preview.error), True
    page = summary.build(
        plan,
        templates=_templates(selection.settings),
        now=datetime.now(UTC),
    )
    return summary.render(selection.stack.name, page), False


def _templates(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the work pools' templates without what only the cluster and the image build know."""
    return {
        name: job_template.build(JobTemplateArgs.of(settings, name, image=summary.UNKNOWN, credential={}))
        for name in settings.work_pools
    }


def _require_known(selection: Selection) -> None:
    """Refuse a stack that a team's backend does not know: a preview must not create one."""
    name = selection.stack.name
    if not selection.target.managed and not selection.stack.exists():
        raise Problem(
            f"Stack '{name}' does not exist in the Pulumi backend, so there is nothing to compare with",
            remedy=f"Create it with `pulumi stack init {name}` and commit its Pulumi.{name}.yaml",
        )


def _say_pending(pending: tuple[str, ...]) -> None:
    for operation in pending:
        say(f"    a killed update had begun this, and it is looked at again: {operation}")


def _options(arguments: argparse.Namespace) -> str:
    """Return what selects the stack on a command line of make, with a space in front; empty by default."""
    options = "" if arguments.stack == "dev" else f" STACK={arguments.stack}"
    cluster = arguments.cluster
    return options + (f" CLUSTER={cluster}" if cluster and not choice.is_default(cluster) else "")


def _say_addresses(outputs: Mapping[str, Any], settings: Settings, options: str) -> None:
    hint = f"  (open it with: make ui{options})" if isinstance(settings.prefect, EmbeddedPrefect) else ""
    say(f"    Prefect UI   {outputs['prefectUiUrl']}{hint}")
    say(f"    Prefect API  {outputs['prefectApiUrl']}  (inside the cluster)")


def _say_next_steps(plan: Plan, options: str) -> None:
    flow = demo.sample(plan) or next((spec.key for specs in plan.deployments.values() for spec in specs), "")
    say("Next:")
    if flow:
        say(f"    make run FLOW={shlex.quote(flow)}{options}   runs a deployment and follows it")
    say(f"    make dashboard{options}   opens the Dask dashboard of a run, while it is running")
    say(f"    your own flow: a file in flows/, an entry in prefect.yaml, make up{options}")
