"""Whether a stack's Prefect API answers, and whether its workers poll."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import httpx
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import WorkPool
from prefect.exceptions import ObjectNotFound

from infra import naming
from infra.settings import CloudPrefect, Settings
from tools.verify.report import Row, failed, ok

SILENT_AFTER: Final = 75.0
"""Seconds without a heartbeat after which a worker counts as gone: it sends one every 30 s, and Prefect calls it
offline after 90 s."""

API: Final = "Prefect API and database"


def api(client: SyncPrefectClient, settings: Settings, *, stack: str) -> Row:
    """Ask whether the API and its database answer."""
    pods = f"kubectl --namespace {settings.namespaces.platform} get pods"
    remedy = f"See {pods} and the server's log; make doctor STACK={stack}"
    try:
        if isinstance(settings.prefect, CloudPrefect):
            client.read_work_pools(limit=1)
            return ok(API, f"{settings.prefect.api_url} answers")
        # It asks the database, which /health does not.
        answer = client.request("GET", "/ready")
        version = client.api_version()
    except httpx.HTTPStatusError as error:
        return _refused(error, stack, remedy)
    except httpx.HTTPError as error:
        return failed(API, f"the API does not answer ({error or type(error).__name__})", remedy)
    answer.raise_for_status()
    return ok(API, f"Prefect {version}, and its database answers")


def _refused(error: httpx.HTTPStatusError, stack: str, remedy: str) -> Row:
    status, path = error.response.status_code, error.request.url.path
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        what = f"{path} answers HTTP {status}: the API refuses the credential"
        return failed(API, what, f"Set the variable, or the secret of stack {stack}, that the server accepts")
    if path.endswith("/ready"):
        return failed(API, f"{path} answers HTTP {status}: {error.response.text[:200]}", remedy)
    return failed(API, f"{path} answers HTTP {status}", remedy)


def workers(client: SyncPrefectClient, settings: Settings, *, stack: str) -> Iterator[tuple[WorkPool | None, Row]]:
    """Yield each work pool of the stack, if it exists, with a row about its workers."""
    for name in settings.work_pools:
        title = f"worker of pool {name}"
        try:
            pool = client.read_work_pool(name)
        except ObjectNotFound:
            yield None, failed(title, "Prefect has no such work pool", f"Run make up STACK={stack}")
            continue
        beat = _last_heartbeat(client, name)
        age = None if beat is None else (datetime.now(UTC) - beat).total_seconds()
        log = f"See kubectl --namespace {settings.namespaces.platform} logs deployment/{naming.WORKER}-{name}"
        if pool.is_paused:
            yield pool, failed(title, "the work pool is paused", f"Resume it: prefect work-pool resume '{name}'")
        elif age is None:
            yield pool, failed(title, "no worker has ever sent a heartbeat", log)
        elif age > SILENT_AFTER:
            yield pool, failed(title, f"its last heartbeat was {age:.0f} s ago", log)
        else:
            yield pool, ok(title, f"last heartbeat {max(age, 0):.0f} s ago")


def _last_heartbeat(client: SyncPrefectClient, pool: str) -> datetime | None:
    beats: list[Any] = [each.last_heartbeat_time for each in client.read_workers_for_work_pool(pool)]
    return max((each for each in beats if each is not None), default=None)


def image(pool: WorkPool) -> str:
    """Return the image that a work pool's runs have by default."""
    properties = pool.base_job_template.get("variables", {}).get("properties", {})
    return str(properties.get("image", {}).get("default", ""))
