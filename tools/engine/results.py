"""What Pulumi's operations return."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pulumi.automation.events import EngineEvent

from tools.engine import urn


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a preview found.

    Attributes:
        events: of the engine, in order.
        error: why it failed; empty when it did not.

    """

    events: tuple[EngineEvent, ...]
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Update:
    """What an update did.

    Attributes:
        events: of the engine, in order.
        outputs: of the stack, without secrets.

    """

    events: tuple[EngineEvent, ...]
    outputs: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class State:
    """What Pulumi knows about a stack's resources.

    Attributes:
        resources: as they stand in the state.
        pending: what an update that was killed had begun, as `creating <resource>`.

    """

    resources: tuple[Mapping[str, Any], ...]
    pending: tuple[str, ...] = ()

    @property
    def is_up(self) -> bool:
        """Whether an update has succeeded since the stack was created or destroyed: only then are there outputs."""
        return any(each["type"] == "pulumi:pulumi:Stack" and each.get("outputs") for each in self.resources)

    def of_type(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the resources of one type."""
        return [each for each in self.resources if each["type"] == kind]


def parse_state(exported: str) -> State:
    """Read what `pulumi stack export` prints."""
    deployment = json.loads(exported)["deployment"] or {}
    return State(
        resources=tuple(deployment.get("resources") or ()),
        pending=tuple(
            f"{each['type']} {urn.name(str(each['resource']['urn']))}"
            for each in deployment.get("pending_operations") or ()
        ),
    )
