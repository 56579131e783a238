"""`make verify`: checks a stack that is deployed, on any cluster, and says what is wrong with it."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from typing import Final

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import WorkPool
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from infra.settings import Settings, layers
from tools.checkup import pods
from tools.errors import Problem
from tools.kubernetes import Kubernetes
from tools.progress import say, status
from tools.runs import artifacts
from tools.runs.session import Session, connect
from tools.verbs.common import Selection, select
from tools.verify import access, admission, images, prefect, registered, volume
from tools.verify.flow_run import Verification
from tools.verify.objects import RunObjects
from tools.verify.report import Row, Verdict, failed, of_problems, passed, show, unknown

_MARGIN: Final = 120
"""Seconds that a run may take in addition to the time that pod and Dask cluster may take to start."""

_AGAIN: Final = "The next verification deletes what is left in Prefect"


def verify(arguments: argparse.Namespace) -> int:
    """Check a deployed stack and print a table; the exit status is 1 if a check failed."""
    selection = select(arguments)
    name = selection.stack.name
    outputs = selection.stack.outputs()
    if not outputs:
        raise Problem(f"Stack {name} is not up", remedy=f"Run make up STACK={name}")
    say(f"==> stack {name}: verifying")
    rows = [*_platform(selection), *_flows(selection, str(outputs["platformImage"]))]
    show(rows, artifacts.console())
    good = passed(rows)
    count = sum(row.verdict is Verdict.FAILED for row in rows)
    say(f"    stack {name} {'works' if good else f'does not work: {count} of {len(rows)} checks failed'}")
    return int(not good)


def _platform(selection: Selection) -> Iterator[Row]:
    """Yield what Kubernetes alone shows."""
    name, settings = selection.stack.name, selection.settings
    cluster = Kubernetes(selection.environment)
    title = "pods of server, worker, operator, reaper"
    try:
        yield from of_problems(title, pods(cluster, settings, name), "all are ready")
        yield from volume.rows(settings, selection.environment)
        state = selection.stack.state()
        yield from access.rows(cluster, access.grants(state), stack=name)
        yield admission.row(cluster, state, stack=name)
    except Problem as problem:
        yield failed(title, str(problem.what), problem.remedy)


def _flows(selection: Selection, platform_image: str) -> Iterator[Row]:
    """Yield what the Prefect API and a flow run in each work pool show."""
    stack, settings = selection.stack, selection.settings
    try:
        with connect(stack, selection.target, settings) as session:
            yield from _with_api(selection, session, platform_image)
    except Problem as problem:
        yield failed(prefect.API, problem.what, problem.remedy)


def _with_api(selection: Selection, session: Session, platform_image: str) -> Iterator[Row]:
    name, settings = selection.stack.name, selection.settings
    # A check reports what is wrong now; the repetitions of Prefect's client would take a minute for each request.
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}), get_client(sync_client=True) as client:
        answer = prefect.api(client, settings, stack=name)
        yield answer
        if answer.verdict is not Verdict.OK:
            yield unknown("workers, images, flow runs", "not checked, because the Prefect API does not work")
            return
        pools = list(prefect.workers(client, settings, stack=name))
        yield from (row for _, row in pools)
        used = {f"pool {pool.name}": prefect.image(pool) for pool, _ in pools if pool is not None}
        yield from images.rows({**used, "server, worker, operator": platform_image}, stack=name)
    good = [pool for pool, row in pools if pool is not None and row.verdict is Verdict.OK]
    with get_client(sync_client=True) as client:
        objects = RunObjects(Kubernetes(selection.environment), session.namespace)
        try:
            yield from runs(client, objects, good, settings, stack=name)
        except httpx.HTTPError as error:
            yield failed("flow runs", f"the Prefect API stopped answering ({error!r})", f"make doctor STACK={name}")
    for pool_name in sorted(set(settings.work_pools) - {pool.name for pool in good}):
        yield unknown(f"flow run in pool {pool_name}", "not checked, because no worker would take it")


def runs(
    client: SyncPrefectClient,
    objects: RunObjects,
    pools: Sequence[WorkPool],
    settings: Settings,
    *,
    stack: str,
    pause: float = 1.0,
) -> list[Row]:
    """Run the verification flow in each work pool, side by side, and return the rows.

    After an interruption the runs are cancelled and deleted, too.
    """
    rows: list[Row] = []
    registered.delete_earlier(client, stack)
    created: list[Verification] = []
    try:
        for pool in pools:
            try:
                run = registered.register(client, pool=pool.name, stack=stack)
            except httpx.HTTPStatusError as error:
                rows.append(_not_stored(pool.name, error))
                continue
            deadline = layers.flow_run(settings, pool.name).pending_timeout + settings.dask.start_timeout + _MARGIN
            created.append(Verification(client, objects, pool, run, deadline=deadline, stack=stack))
        live = list(created)
        with status(lambda: "; ".join(each.describe() for each in live)):
            while live := [each for each in live if not each.is_over()]:
                time.sleep(pause)
        rows += [row for each in created for row in each.rows()]
    finally:
        rows += [_clean_up(each) for each in created]
    return rows


def _clean_up(verification: Verification) -> Row:
    try:
        return verification.clean_up()
    except httpx.HTTPError as error:
        return failed(verification.clean_up_title, f"the Prefect API stopped answering ({error!r})", _AGAIN)


def _not_stored(pool: str, error: httpx.HTTPStatusError) -> Row:
    answer = error.response
    words = f"Prefect does not store a run (HTTP {answer.status_code}: {answer.text[:300]})"
    return failed(
        f"flow run in pool {pool}",
        words,
        "A full or read-only database refuses writes: see the server's log and volume",
    )
