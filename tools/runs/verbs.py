"""What `make run`, `make logs` and `make cancel` do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import DeploymentResponse, SetStateStatus
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling, Scheduled

from infra.settings import Settings
from tools.errors import Problem
from tools.make import text
from tools.runs import artifacts, checks, deployments, lookup
from tools.runs.arguments import Value, parse, parse_tags
from tools.runs.follow import Follower, exit_status
from tools.runs.screen import Screen
from tools.runs.session import Session, answer, connect
from tools.stack import Stack
from tools.target import Target
from tools.verbs.common import require_up, select

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C, as shells have it."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A run that is asked for.

    Attributes:
        deployment: `<flow>/<deployment>`.
        parameters: of the flow.
        variables: job variables of the work pool.
        tags: beside those of the deployment.
        name: of the run; Prefect finds one when it is empty.

    """

    deployment: str
    parameters: dict[str, Value] = field(default_factory=dict)
    variables: dict[str, Value] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    name: str = ""

    @classmethod
    def typed(cls) -> Request:
        """Return what was typed on make's command line.

        Raises:
            Problem: PARAMS or VARS cannot be read.

        """
        return cls(
            deployment=text("FLOW"),
            parameters=parse(text("PARAMS"), "PARAMS"),
            variables=parse(text("VARS"), "VARS"),
            tags=tuple(parse_tags(text("TAGS"))),
            name=text("NAME"),
        )


def run(arguments: argparse.Namespace) -> int:
    """Run a deployment, follow its log, end with its state."""
    request = Request.typed()
    with _session(arguments) as session:
        return start(session, request)


def logs(arguments: argparse.Namespace) -> int:
    """Print a run's log from its start, and follow it to its end."""
    with _session(arguments) as session:
        return _with_run(session, lambda client, shown: _follow_again(client, session, shown))


def cancel(arguments: argparse.Namespace) -> int:
    """Cancel a run and wait until it has ended."""
    with _session(arguments) as session:
        return _with_run(session, lambda client, shown: _cancel(client, session, shown))


def start_and_follow(stack: Stack, place: Target, settings: Settings, deployment: str) -> int:
    """Run a deployment with its own parameters to its end, and return the exit status of `make run`.

    Raises:
        Problem: there is no such deployment, the API does not answer, or the run's Dask cluster is left.

    """
    with connect(stack, place, settings) as session:
        return start(session, Request(deployment=deployment))


def start(session: Session, request: Request) -> int:
    """Start a run and follow it to its end. Returns 0 when it ended Completed, otherwise 1, and 130 after Ctrl-C."""
    return _with_run(session, lambda client, shown: _start(client, session, request, shown))


async def _start(client: PrefectClient, session: Session, request: Request, shown: list[FlowRun]) -> int:
    deployment = await deployments.find(client, request.deployment)
    flow_run = await create(client, deployment, request)
    shown.append(flow_run)
    with Screen() as screen:
        screen.line(f"==> run {flow_run.name} of {request.deployment}", "bold")
        screen.line(f"    {session.link(flow_run)}")
        follower = Follower(client, session, screen, artifacts.console())
        return exit_status(await follower.follow(flow_run, f"run {flow_run.name} of {request.deployment}"))


async def create(client: PrefectClient, deployment: DeploymentResponse, request: Request) -> FlowRun:
    """Create a run after everything about it has been checked.

    Raises:
        Problem: a parameter or a job variable does not fit.

    """
    parameters = checks.check_parameters(
        request.parameters, deployment.parameter_openapi_schema or {}, deployment.parameters or {}
    )
    variables: dict[str, Any] = {}
    if request.variables:
        pool = deployment.work_pool_name or ""
        try:
            template = (await client.read_work_pool(pool)).base_job_template if pool else {}
        except ObjectNotFound:
            template = {}
        variables = checks.check_variables(request.variables, template, pool)
    return await client.create_flow_run_from_deployment(
        deployment.id,
        parameters=parameters,
        job_variables=variables or None,
        tags=request.tags,
        name=request.name or None,
        state=Scheduled(),
    )


async def _follow_again(client: PrefectClient, session: Session, shown: list[FlowRun]) -> int:
    flow_run = await lookup.find(client, text("RUN"))
    if flow_run.state is None or not flow_run.state.is_final():
        shown.append(flow_run)
    with Screen() as screen:
        screen.line(f"==> run {flow_run.name}", "bold")
        screen.line(f"    {session.link(flow_run)}")
        follower = Follower(client, session, screen, artifacts.console())
        return exit_status(await follower.follow(flow_run, f"run {flow_run.name}"))


async def _cancel(client: PrefectClient, session: Session, shown: list[FlowRun]) -> int:
    if not text("RUN"):
        raise Problem("RUN is not set", remedy=await lookup.list_live(client))
    flow_run = await lookup.find(client, text("RUN"))
    if flow_run.state is not None and flow_run.state.is_final():
        raise Problem(
            f"Run {flow_run.name} has ended already: {flow_run.state.name}", remedy=await lookup.list_live(client)
        )
    outcome = await client.set_flow_run_state(flow_run.id, Cancelling())
    shown.append(await client.read_flow_run(flow_run.id))
    if outcome.status is not SetStateStatus.ACCEPT:
        # A run without a pod has nothing to stop: Prefect puts it straight into its final state.
        flow_run = await client.read_flow_run(flow_run.id)
        if flow_run.state is None or not (flow_run.state.is_final() or flow_run.state.is_cancelling()):
            reason = getattr(outcome.details, "reason", None) or "no reason given"
            raise Problem(f"Prefect did not cancel run {flow_run.name}: {reason}", remedy="Look at it in Prefect's UI")
    with Screen() as screen:
        screen.line(f"==> cancelling run {flow_run.name}", "bold")
        follower = Follower(client, session, screen, artifacts.console())
        flow_run = await follower.await_end(flow_run, f"run {flow_run.name}")
    return 0 if flow_run.state is not None and flow_run.state.is_cancelled() else 1


def _with_run(session: Session, work: Callable[[PrefectClient, list[FlowRun]], Coroutine[Any, Any, int]]) -> int:
    """Do something with a run; after Ctrl-C say that the run goes on, once there is one.

    Args:
        session: the stack.
        work: puts the run into the list as soon as it goes on without us.

    """
    shown: list[FlowRun] = []

    async def do() -> int:
        async with get_client() as client:
            return await work(client, shown)

    try:
        return answer(do())
    except KeyboardInterrupt:
        if not shown:
            print("\ninterrupted; nothing was started or changed", file=sys.stderr)
            return INTERRUPTED
        flow_run = shown[-1]
        cancelling = flow_run.state is not None and flow_run.state.is_cancelling()
        print(
            f"\ninterrupted; run {flow_run.name} {'is still being cancelled' if cancelling else 'goes on'}\n"
            f"  follow it:  {session.command('logs', flow_run)}\n"
            f"  cancel it:  {session.command('cancel', flow_run)}\n"
            f"  look at it: {session.link(flow_run)}",
            file=sys.stderr,
        )
        return INTERRUPTED


@contextmanager
def _session(arguments: argparse.Namespace) -> Iterator[Session]:
    selection = select(arguments)
    require_up(selection)
    with connect(selection.stack, selection.target, selection.settings) as session:
        yield session
