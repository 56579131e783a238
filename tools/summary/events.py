"""The engine's event log as plain data: what a preview plans, what it could not plan, and why.

The log has every resource with its old and its new inputs, those that stay the same as well; Pulumi's own
Automation API reads the same one. The digest of `pulumi preview --json` leaves out what stays the same, which
the total of the Dask capacity needs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

Fields = Mapping[str, Any]

SECRET: Final = "[secret]"  # noqa: S105  what stands where a secret was
"""What the engine writes for a secret."""

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""What the engine writes for a value that is known only after the update."""

PREFECT: Final = "pulumi-python:dynamic/prefect:"
KUBERNETES: Final = "kubernetes:"
GUARDS: Final = "pulumi-python:dynamic/kubernetes:"
"""How the types of Prefect's and Kubernetes' resources begin, and of our own that look after Kubernetes."""

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""Key of the dictionary that stands for a secret, an asset or the like; its value says which."""

_OPERATIONS: Final = {
    "same": "same",
    "create": "create",
    "update": "update",
    "delete": "delete",
    "replace": "replace",
    "import": "import",
    "import-replacement": "import",
}
"""Engine's step -> what happens to the resource. The parts of a replacement are left out: its own step tells it."""

_NULL: Final = "␀"
"""A null inside a dictionary of a Prefect resource, see `infra.registration.encoding`."""

_COLOUR: Final = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")


@dataclass(frozen=True, kw_only=True)
class Step:
    """What happens to one resource.

    Attributes:
        operation: `same`, `create`, `update`, `replace`, `delete` or `import`.
        type: Pulumi's type token.
        name: the resource's name in the program.
        old: inputs before, as they are in the world after the refresh; None for a new resource.
        new: inputs after; None for a deleted one.
        recorded: inputs that the state had before the refresh, where they differ from `old`: someone edited the
            object outside Pulumi.
        vanished: the object was deleted outside Pulumi.

    """

    operation: str
    type: str
    name: str
    old: Fields | None
    new: Fields | None
    recorded: Fields | None = None
    vanished: bool = False

    @property
    def inputs(self) -> Fields:
        """The inputs after, or for a deleted resource those before."""
        return self.new if self.new is not None else self.old or {}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a preview found.

    Attributes:
        steps: one for every resource of the program or the state, providers and components left out.
        errors: sentences, each once.
        warnings: sentences, each once.

    """

    steps: tuple[Step, ...] = ()
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def parse(lines: Iterable[str]) -> Plan:
    """Read an event log, one JSON object on each line.

    Args:
        lines: of the file that `pulumi preview --event-log` wrote. A last line that was cut off is passed over.

    """
    events = list(_events(lines))
    drift = _drift(events)
    planned = [event["resourcePreEvent"]["metadata"] for event in events if "resourcePreEvent" in event]
    steps = [_step(item, drift) for item in planned if item["op"] in _OPERATIONS and _is_resource(item)]
    return Plan(steps=tuple(steps), errors=_messages(events, "error"), warnings=_messages(events, "warning"))


def _events(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def _is_resource(item: Mapping[str, Any]) -> bool:
    state = item["new"] or item["old"] or {}
    return bool(state.get("custom")) and not str(item["type"]).startswith("pulumi:")


@dataclass(frozen=True, kw_only=True)
class _Drift:
    edited: Mapping[str, Fields] = field(default_factory=dict)
    vanished: frozenset[str] = frozenset()


def _drift(events: Iterable[Mapping[str, Any]]) -> _Drift:
    edited: dict[str, Fields] = {}
    vanished: set[str] = set()
    for event in events:
        item = event.get("resOutputsEvent", {}).get("metadata", {})
        if item.get("op") != "refresh" or not _is_resource(item):
            continue
        if not item["new"]:
            vanished.add(item["urn"])
        elif item["old"]["inputs"] != item["new"]["inputs"]:
            edited[item["urn"]] = _plain(item["old"]["inputs"])
    return _Drift(edited=edited, vanished=frozenset(vanished))


def _step(item: Mapping[str, Any], drift: _Drift) -> Step:
    urn = str(item["urn"])
    return Step(
        operation=_OPERATIONS[item["op"]],
        type=str(item["type"]),
        name=urn.rpartition("::")[2],
        old=_plain(item["old"]["inputs"]) if item["old"] else None,
        new=_plain(item["new"]["inputs"]) if item["new"] else None,
        recorded=drift.edited.get(urn),
        vanished=urn in drift.vanished,
    )


def _plain(value: Any) -> Any:
    """Return a value without the engine's own spelling: secrets as `[secret]`, files by their digest, null as None."""
    if isinstance(value, Mapping):
        if _SIGNATURE in value:
            return f"file {str(value['hash'])[:12]}" if value.get("hash") else SECRET
        return {key: _plain(item) for key, item in value.items() if not str(key).startswith("__")}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None if value == _NULL else value


def _messages(events: Iterable[Mapping[str, Any]], severity: str) -> tuple[str, ...]:
    told = [event["diagnosticEvent"] for event in events if "diagnosticEvent" in event]
    kind = "info#err" if severity == "warning" else severity
    found = [_COLOUR.sub("", item["message"]).strip() for item in told if item["severity"] in (severity, kind)]
    if severity == "warning":
        # A program's standard error has our own sentences and other people's noise.
        found = [text for text in found if text.startswith(("warning: ", "info: "))]
    return tuple(dict.fromkeys(text for text in found if text))
