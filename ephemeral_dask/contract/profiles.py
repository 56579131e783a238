"""Named sizes of Dask clusters, as they travel from the stack's settings to the flow pod."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ephemeral_dask.contract import pods
from ephemeral_dask.contract.pods import PodExtras


@dataclass(frozen=True, kw_only=True)
class LargeWorkers:
    """A second worker group, for the tasks that an ordinary worker is too small for. It starts empty.

    Attributes:
        maximum: workers at most.
        cpu: CPU request of one, a Kubernetes quantity.
        memory: memory request and limit of one, a Kubernetes quantity.
        threads: large tasks that one runs at the same time.
        pod: additions to their pods, beside the profile's environment and files.

    """

    maximum: int
    cpu: str
    memory: str
    threads: int = 1
    pod: PodExtras = field(default_factory=PodExtras)


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """The pod of a Dask scheduler.

    Attributes:
        cpu: CPU request, a Kubernetes quantity; by default it grows with the number of workers.
        memory: memory request and limit; likewise.
        pod: additions to its pod.

    """

    cpu: str = ""
    memory: str = ""
    pod: PodExtras = field(default_factory=PodExtras)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A named size; fields that are unset fall through to sources of lower precedence.

    Attributes:
        sizes: argument of `ephemeral_dask()` -> value.
        nanny: whether a second process in each worker pod watches the worker and restarts it.
        pod: additions to the worker pods. Environment and files are the scheduler's and the large workers' as well.
        scheduler: of its Dask clusters.
        large: a second worker group for large tasks, or None.

    """

    sizes: Mapping[str, int | str] = field(default_factory=dict)
    nanny: bool = True
    pod: PodExtras = field(default_factory=PodExtras)
    scheduler: Scheduler = field(default_factory=Scheduler)
    large: LargeWorkers | None = None


def encode(profiles: Mapping[str, Profile]) -> str:
    """Write profiles as the value of one environment variable."""
    return pods.dumps({name: _as_json(profile) for name, profile in sorted(profiles.items())})


def decode(text: str) -> dict[str, Profile]:
    """Read what `encode` wrote.

    Raises:
        ValueError: it is something else.

    """
    try:
        profiles = json.loads(text)
        return {name: _profile(values) for name, values in profiles.items()}
    except (AttributeError, TypeError) as error:
        raise ValueError(f"it must be a mapping of profiles ({error})") from None


def _as_json(part: Profile | Scheduler | LargeWorkers) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for each in fields(part):
        value = getattr(part, each.name)
        if isinstance(value, PodExtras):
            value = pods.as_json(value)
        elif isinstance(value, Scheduler | LargeWorkers):
            value = _as_json(value)
        if value not in (None, "", {}):
            values[each.name] = value
    return values


def _profile(values: Mapping[str, Any]) -> Profile:
    parts: dict[str, Any] = _with_pod(values)
    if "scheduler" in parts:
        parts["scheduler"] = scheduler_from_json(parts["scheduler"])
    if "large" in parts:
        parts["large"] = LargeWorkers(**_with_pod(parts["large"]))
    return Profile(**parts)


def scheduler_as_json(scheduler: Scheduler) -> dict[str, Any]:
    """Return what is set, for JSON."""
    return _as_json(scheduler)


def scheduler_from_json(values: Mapping[str, Any]) -> Scheduler:
    """Read what `scheduler_as_json` returned."""
    return Scheduler(**_with_pod(values))


def _with_pod(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, **({"pod": pods.from_json(values["pod"])} if "pod" in values else {})}


def unknown(name: str, known: Iterable[str], where: str) -> str:
    """Return the sentence for a profile that does not exist, the same in a preview and in a run."""
    names = ", ".join(sorted(known))
    remedy = f"choose one of {names}" if names else "this stack has none"
    return f"Dask profile '{name}' from {where} does not exist: {remedy} (dask.profiles in Pulumi.<stack>.yaml)."
