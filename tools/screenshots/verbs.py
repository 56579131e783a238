"""What `make screenshots` does: a run on a stack that is up, and pictures of it for docs/images."""

from __future__ import annotations

import argparse
import asyncio
import base64
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    ArtifactFilterKey,
)
from prefect.client.schemas.objects import FlowRun

from ephemeral_dask.contract import ports
from ephemeral_dask.contract.dask import API_VERSION
from infra import naming
from infra.settings import EmbeddedPrefect
from tools import dashboard, stackfile
from tools.errors import Problem
from tools.forward import port_forward, prefect_api
from tools.kubernetes import Kubernetes
from tools.make import text
from tools.paths import ROOT
from tools.progress import say
from tools.runs import artifacts, deployments
from tools.runs.counts import count_tasks
from tools.runs.dask_cluster import ClusterWatch
from tools.runs.follow import Follower
from tools.runs.screen import Screen
from tools.runs.session import Session, answer, connect
from tools.runs.verbs import Request, create
from tools.screenshots import comment, shots
from tools.screenshots.shots import Shot
from tools.verbs import demo
from tools.verbs.common import Selection, require_up, select
from tools.verbs.stack import preview_page

FOLDER: Final = ROOT / "docs" / "images"

_SUMMARY: Final = "dask-summary"
_WORKERS: Final = 2
"""Workers with which the dashboard shows that a cluster grows."""
_TASKS: Final = 8
"""Tasks that must have ended before its stream and its progress show anything."""
_LONGEST: Final = 300.0
"""Seconds within which a run must have both."""
_WRITTEN: Final = 60.0
"""Seconds within which a run that has ended must have its summary."""


def screenshots(arguments: argparse.Namespace) -> int:
    """Run a deployment and take pictures of the run and of the pull-request comment (FLOW=, PARAMS=, VARS=, FILE=)."""
    shots.browser()
    selection = select(arguments)
    prefect = selection.settings.prefect
    if not isinstance(prefect, EmbeddedPrefect):
        raise Problem(
            f"Stack {selection.stack.name} uses a Prefect server elsewhere, whose pages ask for a login",
            remedy="Name a stack with a server of its own: STACK=",
        )
    require_up(selection)
    of_comment(_comment(selection), FOLDER / "pull-request.png")
    with (
        prefect_api(selection.settings, selection.environment, port=naming.SERVER_PORT),
        connect(selection.stack, selection.target, selection.settings) as session,
    ):
        storage = login(selection.stack.credential(prefect))
        answer(_of_run(selection, session, storage))
    return 0


def of_comment(markdown: str, path: Path) -> None:
    """Take a picture of a comment on a pull request."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "comment.html"
        page.write_text(comment.page(markdown), encoding="utf-8")
        _take(
            [Shot(url=page.as_uri(), path=str(path), shows="text=commented", seconds=0, width=1000, element="article")]
        )


def login(credential: Mapping[str, str]) -> dict[str, str]:
    """Return what Prefect's UI finds in the browser's storage once somebody has typed the password."""
    password = credential.get("PREFECT_API_AUTH_STRING")
    return {"prefect-password": base64.b64encode(password.encode()).decode()} if password else {}


def of_pages(run: FlowRun, summary: str) -> list[Shot]:
    """Return the pictures of Prefect's pages of a run that has ended; `summary` is the id of an artifact."""
    ui = f"http://127.0.0.1:{naming.SERVER_PORT}"
    page = f"{ui}/runs/flow-run/{run.id}"
    return [
        Shot(url=page, path=str(FOLDER / "run.png"), shows=f"text={run.name}", seconds=6),
        Shot(
            url=page,
            path=str(FOLDER / "artifacts.png"),
            click="text=/^Artifacts$/",
            shows=f"text={_SUMMARY}",
            seconds=8,
        ),
        Shot(
            url=f"{ui}/artifacts/artifact/{summary}",
            path=str(FOLDER / "summary.png"),
            shows="table",
            seconds=4,
            height=1150,
        ),
    ]


def _comment(selection: Selection) -> str:
    """Return the text of FILE, else what `make summary` prints."""
    if file := text("FILE"):
        return Path(file).expanduser().read_text(encoding="utf-8")
    return preview_page(selection)[0]


async def _of_run(selection: Selection, session: Session, storage: Mapping[str, str]) -> int:
    request = Request.typed()
    name = request.deployment or demo.sample(stackfile.load_plan(selection.stack.name, selection.settings))
    async with get_client() as client:
        run = await create(client, await deployments.find(client, name), request)
        say(f"==> run {run.name} of {name}")
        await _under_way(client, session, run)
        # Kubernetes, port-forward and browser each run a loop of their own.
        await asyncio.to_thread(_of_dashboard, selection, run)
        with Screen() as screen:
            run = await Follower(client, session, screen, artifacts.console()).await_end(run, f"run {run.name}")
        await asyncio.to_thread(_take, of_pages(run, await _summary(client, run)), storage)
    return 0


async def _under_way(client: PrefectClient, session: Session, run: FlowRun) -> None:
    """Wait until the run's Dask cluster has more than its first worker, and some tasks have ended.

    Raises:
        Problem: the run has ended, or the time is over.

    """
    deadline = time.monotonic() + _LONGEST
    goal = f"its Dask cluster had {_WORKERS} workers and {_TASKS} tasks had ended"
    async with ClusterWatch(session.namespace, session.kubeconfig) as watch:
        while time.monotonic() < deadline:
            view = await watch.look([run.id], tasks=False)
            if view and view.workers >= _WORKERS and (await count_tasks(client, [run.id])).completed >= _TASKS:
                return
            state = (await client.read_flow_run(run.id)).state
            if state and state.is_final():
                raise Problem(
                    f"Run {run.name} was {state.name} before {goal}",
                    remedy="Name a deployment with more work: FLOW=, PARAMS=",
                )
            await asyncio.sleep(1)
    raise Problem(
        f"{_LONGEST:.0f} s of run {run.name} were over before {goal}", remedy="`make logs` says what the run waits for"
    )


def _of_dashboard(selection: Selection, run: FlowRun) -> None:
    namespace, environment = selection.settings.namespaces.runs, selection.environment
    clusters = Kubernetes(environment).list("daskclusters", version=API_VERSION, namespace=namespace)
    service = f"service/{dashboard.choose(str(run.id), clusters)}-scheduler"
    with port_forward(service, ports.SCHEDULER_HTTP, namespace=namespace, environment=environment) as port:
        url = f"http://127.0.0.1:{port}/status"
        path = str(FOLDER / "dask-dashboard.png")
        _take([Shot(url=url, path=path, shows="canvas", seconds=12, height=720)])


async def _summary(client: PrefectClient, run: FlowRun) -> str:
    """Return the id of the run's summary, which the flow's process writes after the run's final state.

    Raises:
        Problem: there is none in time.

    """
    of_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run.id]), key=ArtifactFilterKey(any_=[_SUMMARY]))
    deadline = time.monotonic() + _WRITTEN
    while not (summaries := await client.read_artifacts(artifact_filter=of_run)):
        if time.monotonic() > deadline:
            raise Problem(
                f"Run {run.name} has no artifact {_SUMMARY} {_WRITTEN:.0f} s after its end",
                remedy="`make logs` says how it ended",
            )
        await asyncio.sleep(1)
    return str(summaries[0].id)


def _take(pictures: list[Shot], storage: Mapping[str, str] | None = None) -> None:
    shots.take(pictures, storage)
    for shot in pictures:
        say(f"    wrote {shot.path}")
