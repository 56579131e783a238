"""Runs of the stack's deployments, as Prefect and Kubernetes show them to a test that breaks something below them."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

from ephemeral_dask.contract import labels
from tests.e2e.newcomer import NAMESPACE, RUNS, Newcomer
from tools.cluster.wait import until

FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


def ask(newcomer: Newcomer, expression: str, *, stack: str = "dev") -> Any:
    """Return the value of an expression that uses Prefect's `client`, `filters`, `states` and `actions`."""
    return newcomer.ask(expression, stack=stack)


def all_runs(newcomer: Newcomer) -> set[str]:
    """Return the ids of all flow runs, of which there are fewer than 200."""
    return set(ask(newcomer, "[str(one.id) for one in await client.read_flow_runs(limit=200)]"))


def state(newcomer: Newcomer, run: str, *, stack: str = "dev") -> tuple[str, str]:
    """Return the state of a run and its message."""
    read = f"(await client.read_flow_run('{run}')).state"
    kind, message = ask(newcomer, f"(lambda state: [state.type.value, state.message or ''])({read})", stack=stack)
    return str(kind), str(message)


def ended(newcomer: Newcomer, run: str, *, seconds: float, stack: str = "dev") -> tuple[str, str]:
    """Wait for a run's end, and a moment for that of its process, and return its state and message."""

    def is_final() -> bool:
        return state(newcomer, run, stack=stack)[0] in FINAL

    assert until(is_final, seconds=seconds, interval=2), f"run {run} does not end"
    # The last log lines, the summary and the trend arrive after the state. Some tests have pods that live on.
    running = ("-l", f"{labels.PREFECT_FLOW_RUN}={run}", "--field-selector=status.phase=Running", "--all-namespaces")
    until(lambda: not newcomer.kubectl("get", "pods", *running, "-o", "name"), seconds=20, interval=1)
    return state(newcomer, run, stack=stack)


def running(newcomer: Newcomer, deployment: str, *options: str, stack: str = "dev") -> str:
    """Start a run and return it once it is Running."""
    run = newcomer.start(deployment, *options, stack=stack)

    def has_begun() -> bool:
        return state(newcomer, run, stack=stack)[0] == "RUNNING"

    assert until(has_begun, seconds=180, interval=2), state(newcomer, run, stack=stack)
    return run


def task_states(newcomer: Newcomer, run: str) -> list[str]:
    """Return the type of the state of each task run."""
    only = f"flow_run_filter=filters.FlowRunFilter(id={{'any_': ['{run}']}})"
    return [str(one) for one in ask(newcomer, f"[one.state_type.value for one in await client.read_task_runs({only})]")]


def task_states_become(newcomer: Newcomer, run: str, expected: set[str]) -> bool:
    """Wait until the task runs have these states, which the server records seconds later; return whether they do."""
    return until(lambda: set(task_states(newcomer, run)) == expected, seconds=120, interval=1)


def logged(newcomer: Newcomer, run: str) -> str:
    """Return the log of a run."""
    only = f"filters.LogFilter(flow_run_id={{'any_': ['{run}']}})"
    lines = ask(newcomer, f"[one.message for one in await client.read_logs({only}, limit=200)]")
    return "\n".join(lines)


def summary(newcomer: Newcomer, run: str) -> str:
    """Return the last summary of a run's Dask clusters."""
    only = f"filters.ArtifactFilter(flow_run_id={{'any_': ['{run}']}}, key={{'any_': ['dask-summary']}})"
    summaries = ask(newcomer, f"[one.data for one in await client.read_artifacts(artifact_filter={only})]")
    return str(summaries[-1]) if summaries else ""


def trend(newcomer: Newcomer, deployment: str) -> str:
    """Return the tables of a deployment's runs, as JSON."""
    only = f"filters.ArtifactFilter(key={{'any_': ['dask-trend-{deployment}']}})"
    tables = ask(newcomer, f"[one.data for one in await client.read_artifacts(artifact_filter={only})]")
    return "\n".join(map(str, tables))


def run_name(newcomer: Newcomer, run: str) -> str:
    """Return the name of a run, such as `daring-mole`."""
    return str(ask(newcomer, f"(await client.read_flow_run('{run}')).name"))


def pods(newcomer: Newcomer, run: str, component: str) -> list[str]:
    """Return the Dask pods of a run, by name: of its `scheduler` or its `worker`s."""
    selector = f"ephemeral-dask/flow-run={run},dask.org/component={component}"
    return newcomer.kubectl(
        "get", "pods", "-l", selector, "-o", "jsonpath={.items[*].metadata.name}", namespace=RUNS
    ).split()


def wait_for_tasks(newcomer: Newcomer, run: str) -> None:
    """Wait until some tasks of a run are done and others are not."""
    assert until(lambda: "COMPLETED" in task_states(newcomer, run), seconds=300, interval=2), logged(newcomer, run)
    assert state(newcomer, run)[0] == "RUNNING"


def working(newcomer: Newcomer, run: str) -> str:
    """Wait until the scheduler of a run knows a Dask worker, which gets tasks from then on, and return its pod."""
    known: list[str] = []

    def is_known() -> bool:
        names = pods(newcomer, run, "worker")
        known[:] = [name for name in names if "Registered to" in _worker_log(newcomer, name)]
        return bool(known)

    assert until(is_known, seconds=60, interval=1), pods(newcomer, run, "worker")
    return known[0]


def _worker_log(newcomer: Newcomer, pod: str) -> str:
    return newcomer.try_kubectl("logs", pod, "--container=worker", namespace=RUNS).output


def with_tasks_under_way(newcomer: Newcomer, *options: str) -> tuple[str, str]:
    """Start a run and return it with its scheduler's pod, once some tasks are done and others are not."""
    run = newcomer.start("steps/default", *options)
    wait_for_tasks(newcomer, run)
    [scheduler] = pods(newcomer, run, "scheduler")
    return run, scheduler


@contextlib.contextmanager
def changed_template(newcomer: Newcomer, change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Change the pod of the work pool's base job template for a while, as an admission webhook changes pods.

    Args:
        newcomer: whose work pool it is.
        change: changes the pod's spec in place.

    """

    def change_pod(template: dict[str, Any]) -> None:
        change(template["job_configuration"]["job_manifest"]["spec"]["template"]["spec"])

    with changed_work_pool(newcomer, change_pod):
        yield


@contextlib.contextmanager
def changed_work_pool(
    newcomer: Newcomer, change: Callable[[dict[str, Any]], None], *, pool: str = "dask"
) -> Iterator[None]:
    """Change a work pool's base job template for a while.

    Args:
        newcomer: whose work pool it is.
        change: changes the template in place.
        pool: its name.

    """
    template = ask(newcomer, f"(await client.read_work_pool('{pool}')).base_job_template")
    changed = copy.deepcopy(template)
    change(changed)

    def write(content: dict[str, Any]) -> None:
        update = f"WorkPoolUpdate.model_validate_json({json.dumps(json.dumps({'base_job_template': content}))})"
        ask(newcomer, f"await client.update_work_pool('{pool}', actions.{update})")

    write(changed)
    try:
        yield
    finally:
        write(template)


@contextlib.contextmanager
def scaled_down(newcomer: Newcomer, deployment: str) -> Iterator[None]:
    """Let a Deployment of the platform have no pod for a while."""
    newcomer.kubectl("scale", f"deployment/{deployment}", "--replicas=0")
    try:
        of_it = ("pod", "-l", f"app.kubernetes.io/name={deployment}")
        newcomer.kubectl("wait", "--for=delete", *of_it, "--timeout=120s")
        yield
    finally:
        newcomer.kubectl("scale", f"deployment/{deployment}", "--replicas=1")
        newcomer.kubectl("rollout", "status", f"deployment/{deployment}", "--timeout=180s")


def restarts(newcomer: Newcomer, deployment: str, *, namespace: str = NAMESPACE) -> str:
    """Return which pods a Deployment of the platform has, and how often their containers have been restarted."""
    of_it = ("pods", "-l", f"app.kubernetes.io/name={deployment}")
    field = "jsonpath={.items[*].metadata.uid} {.items[*].status.containerStatuses[*].restartCount}"
    return newcomer.kubectl("get", *of_it, "-o", field, namespace=namespace)


def kill(newcomer: Newcomer, pod: str) -> None:
    """Delete a pod as a lost node does, without a moment to say goodbye."""
    newcomer.kubectl("delete", "pod", pod, "--force", "--grace-period=0", "--wait=true", namespace=RUNS)
    assert newcomer.try_kubectl("get", "pod", pod, namespace=RUNS).status != 0, "the fault took no effect"


def jobs(newcomer: Newcomer, run: str) -> str:
    """Return the Job and the pods of a run that Prefect's worker has created."""
    return newcomer.kubectl("get", "jobs,pods", "-l", f"{labels.PREFECT_FLOW_RUN}={run}", "-o", "name", namespace=RUNS)


def left(newcomer: Newcomer, run: str) -> str:
    """Return what there is in Kubernetes of a run's Dask clusters."""
    kinds = "daskclusters,daskworkergroups,services,deployments,pods"
    selector = f"ephemeral-dask/flow-run={run},ephemeral-dask/component=dask"
    return newcomer.kubectl("get", kinds, "-l", selector, "-o", "name", namespace=RUNS)
