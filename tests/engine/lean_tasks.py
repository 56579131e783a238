"""A flow with many kinds of tasks, run once with prefect-dask's own task runner and once with that of this project.

Run as a module it prints what the tasks returned and the IDs of the two flow runs, as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from distributed import LocalCluster
from prefect import flow, get_run_logger, runtime, tags, task
from prefect.cache_policies import INPUTS
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext, get_settings_context, use_profile
from prefect.settings import (
    PREFECT_CLIENT_CUSTOM_HEADERS,
    PREFECT_TASK_DEFAULT_RETRIES,
    PREFECT_TASKS_REFRESH_CACHE,
    Profile,
    get_current_settings,
    temporary_settings,
)
from prefect.states import Cancelled
from prefect_dask import DaskTaskRunner

from ephemeral_dask.lean.task_runner import LeanDaskTaskRunner

HEADER = "x-credential"


@task(tags=["own"], task_run_name="greet {name}", log_prints=True)
def greet(name: str) -> str:
    get_run_logger().info("logged %s", name)
    print("printed", name)
    return f"hello {name}"


@task(retries=2, retry_delay_seconds=0)
def flaky() -> int:
    attempt: int = runtime.task_run.run_count
    if attempt < 2:
        raise ValueError("not yet")
    return attempt


@task
def broken(value: int) -> int:
    raise ValueError(f"bad {value}")


@task
def after_broken(value: int) -> int:
    return value


@task
def cancelled() -> Any:
    return Cancelled(message="no need")


@task(cache_policy=INPUTS, persist_result=True)
def cached(number: int) -> int:
    return number + 1


@task
async def waits(number: int) -> int:
    await asyncio.sleep(0)
    get_run_logger().info("in a loop")
    async with get_client() as client:
        answer = await client.hello()
    return number * answer.status_code


@task
def add(one: int, other: int) -> int:
    return one + other


@task
def surroundings() -> dict[str, Any]:
    settings = get_current_settings()
    with get_client(sync_client=True) as client:
        credential = client._client.headers.get(HEADER)
        answer = client.hello().status_code
    return {
        "flow": [runtime.flow_run.flow_name, runtime.flow_run.parameters, sorted(runtime.flow_run.tags)],
        "task": [runtime.task_run.task_name, sorted(runtime.task_run.tags), runtime.task_run.parameters],
        "retries": settings.tasks.default_retries,
        "refresh": settings.tasks.refresh_cache,
        "home": str(settings.home),
        "profile": get_settings_context().profile.name,
        "credential": credential,
        "answer": answer,
    }


@task
def spoils() -> list[int]:
    context = FlowRunContext.get()
    assert context is not None
    assert context.parameters is not None
    context.parameters["numbers"].append(99)
    context.task_run_dynamic_keys["spoiled"] = 1
    numbers: list[int] = context.parameters["numbers"]
    return numbers


@task
def parent(number: int) -> list[Any]:
    with tags("nested"):
        child = add.submit(number, 1)
    return [child.result(), add(number, 2), surroundings.submit().result()["flow"]]


@flow(log_prints=True)
def inner(number: int) -> int:
    print("inner flow")
    return add(number, 10)


@task
def calls_a_flow(number: int) -> int:
    result: int = inner(number)
    return result


@flow(name="many-kinds", log_prints=True)
def many_kinds(numbers: list[int], salt: int) -> dict[str, Any]:
    """Submit tasks of many kinds, and return what they returned or how they ended."""
    returned: dict[str, Any] = {}
    with tags("outer"):
        returned["greet"] = greet.submit("you").result()
        returned["plain"] = surroundings.submit().result()
    returned["flaky"] = flaky.submit().result()
    failing = broken.submit(1)
    ends = [failing, after_broken.submit(failing), cancelled.submit()]
    for each in ends:
        each.wait()
    returned["ends"] = [f"{each.state.type.value} {each.state.name} {each.state.message}" for each in ends]
    first = cached.submit(salt)
    first.wait()
    again = cached.submit(salt)
    again.wait()
    returned["cached"] = [first.state.name, again.state.name, again.result() - salt]
    returned["mapped"] = add.map(numbers, other=waits.map(numbers)).result()
    returned["waited"] = add.submit(1, 2, wait_for=[first]).result()
    for credential in ("old", "new"):
        with temporary_settings({PREFECT_CLIENT_CUSTOM_HEADERS: {HEADER: credential}}):
            returned[credential] = surroundings.submit().result()["credential"]
    with temporary_settings({PREFECT_TASK_DEFAULT_RETRIES: 3, PREFECT_TASKS_REFRESH_CACHE: True}):
        returned["settings"] = surroundings.submit().result()
        refreshed = cached.submit(salt)
        refreshed.wait()
        returned["refreshed"] = refreshed.state.name
    with use_profile(
        Profile(name="other", settings={PREFECT_TASK_DEFAULT_RETRIES: 2}), override_environment_variables=True
    ):
        returned["profile"] = surroundings.submit().result()
    returned["spoiled"] = [spoils.submit().result() for _ in range(3)]
    returned["parent"] = parent.submit(5).result()
    returned["flow in a task"] = calls_a_flow.submit(5).result()
    returned["id"] = str(runtime.flow_run.id)
    return returned


def main(addresses: Path) -> None:
    """Run the flow with both task runners on the same Dask workers, and write the outcome as JSON."""
    outcome = {}
    with LocalCluster(n_workers=1, threads_per_worker=3, dashboard_address=None) as cluster:
        for salt, runner in enumerate((DaskTaskRunner, LeanDaskTaskRunner)):
            run = many_kinds.with_options(task_runner=runner(address=cluster.scheduler_address))
            outcome[runner.__name__] = run([1, 2, 3], salt)
    addresses.write_text(json.dumps(outcome))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
