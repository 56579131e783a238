"""Named sizes of Dask clusters, as they travel from the stack's settings to the flow pod."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class LargeWorkers:
    """A second worker group, for the tasks that an ordinary worker is too small for. It starts empty.

    Attributes:
        maximum: workers at most.
        cpu: CPU request of one, a Kubernetes quantity.
        memory: memory request and limit of one, a Kubernetes quantity.
        threads: large tasks that one runs at the same time.
        env: their environment variables, in addition to the profile's.
        tolerations: of their pods, as Kubernetes writes them.
        node_selector: of their pods.

    """

    maximum: int
    cpu: str
    memory: str
    threads: int = 1
    env: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A named size; fields that are unset fall through to sources of lower precedence.

    Attributes:
        sizes: argument of `ephemeral_dask()` -> value.
        nanny: whether a second process in each worker pod watches the worker and restarts it.
        env: environment variables of the workers. Never a secret: everyone who may read the work pool sees them.
        tolerations: of the worker pods, as Kubernetes writes them.
        node_selector: of the worker pods.
        large: a second worker group for large tasks, or None.

    """

    sizes: Mapping[str, int | str] = field(default_factory=dict)
    nanny: bool = True
    env: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    node_selector: Mapping[str, str] = field(default_factory=dict)
    large: LargeWorkers | None = None


def encode(profiles: Mapping[str, Profile]) -> str:
    """Write profiles as the value of one environment variable."""
    text = json.dumps({name: asdict(profile) for name, profile in sorted(profiles.items())}, sort_keys=True)
    # Two braces would be a placeholder of Prefect's; inside a JSON string one may be written as its number.
    return text.replace("{{", "{\\u007b")


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


def _profile(values: Mapping[str, Any]) -> Profile:
    large = values.get("large")
    return Profile(**{**_tupled(values), "large": LargeWorkers(**_tupled(large)) if large is not None else None})


def _tupled(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "tolerations": tuple(values.get("tolerations", ()))}


def unknown(name: str, known: Iterable[str], where: str) -> str:
    """Return the sentence for a profile that does not exist, the same in a preview and in a run."""
    names = ", ".join(sorted(known))
    remedy = f"choose one of {names}" if names else "this stack has none"
    return f"Dask profile '{name}' from {where} does not exist: {remedy} (dask.profiles in Pulumi.<stack>.yaml)."
