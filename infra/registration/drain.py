"""Ends a stack's live runs before a destroy deletes anything that they need.

Pulumi deletes a resource before its dependencies. `Drain` depends on the whole stack and creates nothing: its deletion,
the first of a destroy, is the drain.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import pulumi
from pulumi import Input
from pulumi.dynamic import CheckResult, CreateResult, DiffResult, Resource

from infra.registration import backlog, session
from infra.registration.api import READ_DEADLINE, PrefectApi, path
from infra.registration.encoding import decode, known
from infra.registration.endpoint import ApiEndpoint, to_props
from infra.registration.errors import RegistrationError, UnreachableError, log
from infra.registration.provider import REACH
from infra.registration.stateless import StatelessProvider

if TYPE_CHECKING:
    from infra.registration.kubernetes import LiveObjects

Runs = Literal["wait", "cancel", "refuse"]

_LIVE: Final = ["RUNNING", "PENDING", "CANCELLING"]
_DEPLOYMENTS: Final = "deployments"
_POLL: Final = 1.0
"""Seconds between two polls."""

_OPERATOR: Final = 60.0
"""Seconds that the Dask operator may take to delete a cluster; it takes two to ten."""

_MOST_NAMES: Final = 5
"""Names listed in a message; the rest is counted."""


@dataclass(frozen=True, kw_only=True)
class DrainArgs:
    """What a drain ends, and how.

    Attributes:
        endpoint: where the Prefect API is.
        namespace: namespace of the runs and their Dask clusters.
        pools: work pools to pause.
        runs: what happens to live runs: `refuse` fails the destroy, `cancel` cancels them, `wait` waits for them and
            cancels those that do not end in time.
        deadline: seconds to wait before runs are cancelled or deleted.
        deployments: `<flow>/<deployment>` of all that are declared, so that a preview knows which one is to go.

    """

    endpoint: ApiEndpoint
    namespace: Input[str]
    pools: Sequence[Input[str]]
    runs: Runs = "cancel"
    deadline: int = 300
    deployments: Sequence[str] = ()


class Drain(Resource, module="prefect", name="Drain"):
    """Pauses the work pools, ends live runs and deletes their Dask clusters when the stack is destroyed."""

    def __init__(self, name: str, args: DrainArgs, opts: pulumi.ResourceOptions) -> None:
        props = {
            REACH: to_props(args.endpoint),
            "namespace": args.namespace,
            "pools": list(args.pools),
            "runs": args.runs,
            "deadline": args.deadline,
            _DEPLOYMENTS: list(args.deployments),
        }
        super().__init__(DrainProvider(), name, props, opts)


class DrainProvider(StatelessProvider):
    """Does nothing before its deletion."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Warn about runs of deployments that were declared and are not any longer: the update deletes these."""
        before, after = _olds.get(_DEPLOYMENTS) or [], news.get(_DEPLOYMENTS) or []
        leaving = [key for key in before if key not in after]
        if leaving and known(news.get(REACH)):
            try:
                backlog.warn_about_runs(session.api(decode(news)), leaving)
            except RegistrationError as error:
                log("warning", f"Runs of {_listed(leaving)} could not be counted. {error}")
        return CheckResult(news, [])

    def diff(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> DiffResult:
        """Compare all but the deployments, whose resources show by themselves what changes."""
        same = {_DEPLOYMENTS: None}
        return super().diff(_id, {**_olds, **same}, {**_news, **same})

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Store the inputs, and warn about a work pool that an interrupted destroy has left paused."""
        fields = decode(props)
        for pool in _paused_pools(session.api(fields), fields["pools"]):
            log(
                "warning",
                f"Work pool '{pool}' is paused: its runs do not start until `prefect work-pool resume '{pool}'`.",
            )
        return super().create(props)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Drain the stack."""
        from infra.registration.kubernetes import Cluster  # noqa: PLC0415  a second to import

        fields = decode(_props)
        cluster = Cluster(fields["namespace"], fields[REACH].get("context"))
        drain(session.api(fields), cluster, fields)


class _Namespace(Protocol):
    def live_objects(self) -> LiveObjects: ...

    def delete_runs(self) -> None: ...

    def force_delete(self, objects: tuple[str, ...]) -> None: ...


def drain(
    api: PrefectApi,
    cluster: _Namespace,
    fields: Mapping[str, Any],
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Pause the work pools, end live runs, and delete their Dask clusters.

    If the Prefect server does not answer, the runs are deleted in Kubernetes only.

    Args:
        api: the Prefect API.
        cluster: the stack's namespace in Kubernetes.
        fields: `DrainArgs` as plain values.
        clock: returns monotonic seconds.
        pause: waits for a number of seconds.

    Raises:
        RegistrationError: runs are live and `runs` is `refuse`; the pools are resumed first.

    """

    def wait_until(done: Callable[[], bool], seconds: float) -> bool:
        end = clock() + seconds
        while not done():
            if clock() >= end:
                return False
            pause(_POLL)
        return True

    pools, policy = fields["pools"], fields["runs"]
    paused = _pause(api, pools)
    reachable = paused is not None
    names = _live_runs(api, pools) if reachable else cluster.live_objects().jobs
    if names and policy == "refuse":
        for pool in paused or ():
            _set_paused(api, pool, paused=False)
        raise RegistrationError(
            f"The stack was not destroyed: {len(names)} flow run(s) are live",
            why=f"{_listed(names)}, and the stack's drain.runs is 'refuse'",
            remedy="wait for them, cancel them, or set drain.runs to 'cancel' or 'wait' and run `pulumi up` first",
        )
    if reachable:
        if names and policy == "wait":
            log("info", f"Waiting up to {fields['deadline']} s for {len(names)} live flow run(s): {_listed(names)}.")
            wait_until(lambda: not _live_runs(api, pools), fields["deadline"])
        if _cancel(api, pools):
            wait_until(lambda: not _live_runs(api, pools), min(fields["deadline"], _OPERATOR))
    cluster.delete_runs()
    wait_until(lambda: not cluster.live_objects().dask, _OPERATOR)
    if remaining := cluster.live_objects().dask:
        log("warning", f"{_listed(remaining)} still exist after {_OPERATOR:.0f} s: their finalizers are removed.")
        cluster.force_delete(remaining)


def _pause(api: PrefectApi, pools: Sequence[str]) -> list[str] | None:
    """Pause the pools; return those that were not paused before, or None if Prefect does not answer."""
    try:
        paused = _paused_pools(api, pools)
        active = [pool for pool in pools if pool not in paused]
        return [pool for pool in active if _set_paused(api, pool, paused=True)]
    except UnreachableError as error:
        log("warning", f"Prefect does not answer, so live runs are deleted in Kubernetes only. {error}")
        return None


def _paused_pools(api: PrefectApi, pools: Sequence[str]) -> list[str]:
    live_pools = {
        pool: api.get(path("work_pools", pool), operation=f"read work pool '{pool}'", deadline=READ_DEADLINE)
        for pool in pools
    }
    return [pool for pool, live in live_pools.items() if live is not None and live.get("is_paused")]


def _set_paused(api: PrefectApi, pool: str, *, paused: bool) -> bool:
    """Pause or resume a work pool; return whether it exists."""
    operation = f"{'pause' if paused else 'resume'} work pool '{pool}'"
    if api.get(path("work_pools", pool), operation=operation, deadline=READ_DEADLINE) is None:
        return False
    api.patch(path("work_pools", pool), {"is_paused": paused}, operation=operation)
    return True


def _runs(api: PrefectApi, pools: Sequence[str], states: Sequence[str]) -> list[Mapping[str, Any]]:
    body = {
        "flow_runs": {"state": {"type": {"any_": list(states)}}},
        "work_pools": {"name": {"any_": list(pools)}},
    }
    return list(api.post("/flow_runs/filter", body, operation="list live flow runs"))


def _live_runs(api: PrefectApi, pools: Sequence[str]) -> tuple[str, ...]:
    return tuple(run["name"] for run in _runs(api, pools, _LIVE))


def _cancel(api: PrefectApi, pools: Sequence[str]) -> bool:
    live = _runs(api, pools, _LIVE)
    for run in live:
        if run["state_type"] != "CANCELLING":
            state = {"state": {"type": "CANCELLING", "name": "Cancelling", "message": "The stack is destroyed."}}
            api.post(path("flow_runs", run["id"], "set_state"), state, operation=f"cancel flow run '{run['name']}'")
    return bool(live)


def _listed(names: Sequence[str]) -> str:
    rest = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(sorted(names)[:_MOST_NAMES]) + rest
