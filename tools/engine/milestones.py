"""What an update has achieved, in a few lines, from the engine's events."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pulumi.automation.events import EngineEvent, StepEventMetadata

from tools.engine import urn
from tools.engine.diagnostics import is_image
from tools.progress import duration

_UNCHANGED: Final = ("same", "read", "refresh")
_DEPLOYMENT: Final = "pulumi-python:dynamic/prefect:Deployment"
_WORKLOAD: Final = "kubernetes:apps/v1:Deployment"

_COMPONENTS: Final[Mapping[str, str]] = {
    "DaskOperator$": "Dask operator",
    "DaskReaper$": "Dask reaper",
    "PrefectServer$": "Prefect server",
    "PrefectWorker$": "Prefect worker",
}
"""Part of a URN -> the component as people name it."""

_OPERATIONS: Final[Mapping[str, str]] = {
    "create": "new",
    "import": "new",
    "update": "updated",
    "replace": "replaced",
    "delete": "removed",
}

_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "created": ("create", "import"),
    "updated": ("update",),
    "replaced": ("replace",),
    "deleted": ("delete",),
}


@dataclass(frozen=True, kw_only=True)
class _Running:
    title: str
    since: float
    workload: bool


class Milestones:
    """Turns the events of one update into lines.

    Args:
        say: prints a line.
        clock: seconds; monotonic.

    Events come from a thread of the Automation API, `describe` is called from others.

    """

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._say = say
        self._clock = clock
        self._lock = threading.Lock()
        self._running: dict[str, _Running] = {}
        self._builds_since: float | None = None
        self._deployments: Counter[str] = Counter()
        self.changes: Counter[str] = Counter()
        """Operation -> resources: `create`, `update`, `delete`, `same` and so on. Components count as well."""

    def take(self, event: EngineEvent) -> None:
        """Take one event."""
        with self._lock:
            if event.resource_pre_event is not None:
                self._begin(event.resource_pre_event.metadata)
            elif event.res_outputs_event is not None:
                self._end(event.res_outputs_event.metadata)
            elif event.res_op_failed_event is not None:
                self._running.pop(event.res_op_failed_event.metadata.urn, None)
            elif event.summary_event is not None:
                self.changes = Counter({str(op): count for op, count in event.summary_event.resource_changes.items()})

    def describe(self) -> str:
        """Return what is running, longest first, in one line."""
        with self._lock:
            now = self._clock()
            running = sorted(self._running.values(), key=lambda each: (not each.workload, each.since))
        shown = [f"{each.title} {duration(now - each.since)}" for each in running[:3]]
        more = [f"{len(running) - 3} more"] if len(running) > 3 else []
        return ", ".join([*shown, *more])

    def deployments(self) -> str:
        """Return how many deployments there are and what happened to them, empty when nothing did."""
        changes = [f"{self._deployments[word]} {word}" for word in dict.fromkeys(_OPERATIONS.values())]
        changes = [text for text in changes if not text.startswith("0 ")]
        if not changes:
            return ""
        count = sum(self._deployments.values()) - self._deployments["removed"]
        return f"{count} deployment{'' if count == 1 else 's'} ({', '.join(changes)})"

    def total(self) -> str:
        """Return how many resources changed, such as `2 created, 1 updated, 40 unchanged`."""
        same = self.changes["same"]
        changes = {word: sum(self.changes[op] for op in ops) for word, ops in _WORDS.items()}
        listed = ", ".join(f"{count} {word}" for word, count in changes.items() if count)
        if not listed:
            return f"nothing changed in {same} resources"
        return f"{listed}, {same} unchanged" if same else listed

    def _begin(self, step: StepEventMetadata) -> None:
        state = step.new or step.old
        if step.op.value in _UNCHANGED or state is None or not state.custom:
            return  # a component only groups resources, and is in progress until the last of them is done
        now = self._clock()
        if is_image(step.urn) and step.op.value != "delete":
            self._builds_since = self._builds_since or now
        self._running[step.urn] = _Running(title=_title(step), since=now, workload=bool(_milestone(step)))

    def _end(self, step: StepEventMetadata) -> None:
        running = self._running.pop(step.urn, None)
        if step.type == _DEPLOYMENT and step.op.value in ("same", *_OPERATIONS):
            self._deployments[_OPERATIONS.get(step.op.value, "same")] += 1
        if running is None or step.op.value.startswith("delete"):
            return
        if is_image(step.urn):
            if self._builds_since is not None and not any(map(is_image, self._running)):
                self._say(f"images built ({duration(self._clock() - self._builds_since)})")
                self._builds_since = None
        elif line := _milestone(step):
            self._say(f"{line} ready ({duration(self._clock() - running.since)})")


def _milestone(step: StepEventMetadata) -> str:
    """Return what is ready when the step is done, empty when no one waits for it."""
    if step.type == "kubernetes:core/v1:Namespace":
        return "namespace of runs" if "RunsNamespace$" in step.urn else "namespace of the platform"
    if step.type != _WORKLOAD:
        return "images" if is_image(step.urn) else ""
    component = next((title for part, title in _COMPONENTS.items() if part in step.urn), "")
    name = urn.name(step.urn).removesuffix("-deployment")
    if component == "Prefect worker":
        return f"Prefect worker of work pool {name.removeprefix('prefect-worker-')}"
    return "Prefect background services" if name == "prefect-server-services" else component


def _title(step: StepEventMetadata) -> str:
    name = urn.name(step.urn)
    if is_image(step.urn) and step.op.value != "delete":
        return f"building {name}"
    verbs = {"create": "creating", "update": "updating", "delete": "deleting", "replace": "replacing"}
    return f"{verbs.get(step.op.value, step.op.value)} {name if is_image(step.urn) else _milestone(step) or name}"
