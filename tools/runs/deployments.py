"""The deployment that FLOW names."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.responses import DeploymentResponse

from tools.errors import Problem

Item = TypeVar("Item")

_PAGE: Final = 200
"""Objects that the server returns at once."""


async def find(client: PrefectClient, name: str) -> DeploymentResponse:
    """Return the deployment of that name.

    It is looked for in the list of all, because Prefect's address of a deployment by its name has no way to hold
    every character that a name may have.

    Args:
        client: of the stack's Prefect API.
        name: `<flow>/<deployment>`.

    Raises:
        Problem: there is none; the message lists those that exist.

    """
    flows = {flow.id: flow.name for flow in await _all(client.read_flows)}
    deployments = {f"{flows[each.flow_id]}/{each.name}": each for each in await _all(client.read_deployments)}
    if name in deployments:
        return deployments[name]
    raise _unknown(name, sorted(deployments))


async def _all(read: Callable[..., Awaitable[Sequence[Item]]]) -> list[Item]:
    items: list[Item] = []
    while page := await read(limit=_PAGE, offset=len(items)):
        items += page
        if len(page) < _PAGE:
            break
    return items


def _unknown(name: str, names: Sequence[str]) -> Problem:
    if not names:
        return Problem("No deployment is registered", remedy="Bring up the stack with `make up` first")
    known = "\n".join(["Registered deployments:", *(f"  {each}" for each in names)])
    if not name:
        return Problem("FLOW is not set", remedy="Set FLOW=<flow>/<deployment>", detail=known)
    of_flow = [each for each in names if each.partition("/")[0] == name]
    if of_flow:
        what = f"FLOW='{name}' names a flow, and a run needs one of its deployments"
        remedy = " or ".join(f"FLOW={shlex.quote(each)}" for each in of_flow)
        return Problem(what, remedy=f"Set {remedy}")
    what = f"There is no deployment '{name}'{did_you_mean(name, names)}"
    return Problem(what, remedy="Set FLOW=<flow>/<deployment>", detail=known)


def did_you_mean(name: str, names: Iterable[Any]) -> str:
    """Return ` (did you mean '...'?)` for the most similar name, or nothing when none is similar."""
    near = get_close_matches(name, [str(each) for each in names], n=1)
    return f" (did you mean '{near[0]}'?)" if near else ""
