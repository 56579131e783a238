"""What a stack adds to the pods of a run: one value for flow pods, schedulers and workers, secrets by reference."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import reduce
from typing import Any


@dataclass(frozen=True, kw_only=True)
class PodExtras:
    """Additions to one kind of pod; what is empty adds nothing.

    Attributes:
        env: environment variables. Never a secret: everyone who may read the work pool sees them.
        secret_env: environment variable -> `{"name": <Secret>, "key": <its key>}`.
        env_from: Secrets and ConfigMaps all of whose keys become variables, as Kubernetes writes `envFrom`.
        volumes: name -> `{"source": <as Kubernetes writes a volume, without its name>, "mount": <likewise a mount>}`.
        resources: extended resources, such as `nvidia.com/gpu`, and their number.
        cpu_limit: a Kubernetes quantity.
        ephemeral_storage: request and limit, a Kubernetes quantity.
        scratch: size limit of `/tmp`, to which Dask spills; a Kubernetes quantity.
        runtime_class: name of a RuntimeClass.
        priority_class: name of a PriorityClass.
        node_selector: as Kubernetes writes it, like the following ones.
        tolerations: of the pod.
        affinity: of the pod.
        topology_spread: of the pod, `topologySpreadConstraints`.
        labels: of the pod.
        annotations: of the pod.
        patches: strategic merge patches of the pod's template, applied in this order after everything else.

    """

    env: Mapping[str, str] = field(default_factory=dict)
    secret_env: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    env_from: tuple[Mapping[str, Any], ...] = ()
    volumes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resources: Mapping[str, str] = field(default_factory=dict)
    cpu_limit: str = ""
    ephemeral_storage: str = ""
    scratch: str = ""
    runtime_class: str = ""
    priority_class: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    affinity: Mapping[str, Any] = field(default_factory=dict)
    topology_spread: tuple[Mapping[str, Any], ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    patches: tuple[Mapping[str, Any], ...] = ()

    def shared(self) -> PodExtras:
        """Return what every pod of a Dask cluster needs to run the same code: environment and files."""
        return PodExtras(env=self.env, secret_env=self.secret_env, env_from=self.env_from, volumes=self.volumes)


@dataclass(frozen=True, kw_only=True)
class RunPods:
    """The additions to all pods of a run, as the work pool's template hands them to the flow pod.

    Attributes:
        flow: of the flow pod.
        scheduler: of the Dask scheduler.
        worker: of a Dask worker.
        common: of every pod, which large workers begin with.
        scheduler_cpu: CPU request of the scheduler, a Kubernetes quantity; empty where it grows with the workers.
        scheduler_memory: its memory request and limit; likewise.

    """

    flow: PodExtras = field(default_factory=PodExtras)
    scheduler: PodExtras = field(default_factory=PodExtras)
    worker: PodExtras = field(default_factory=PodExtras)
    common: PodExtras = field(default_factory=PodExtras)
    scheduler_cpu: str = ""
    scheduler_memory: str = ""


def merged(*layers: PodExtras) -> PodExtras:
    """Return the sum of layers, each of which takes precedence over those before it.

    Mappings are merged by key. A list or a single value that is set replaces the earlier one. Patches are all applied.
    """
    return reduce(_merge, layers, PodExtras())


def _merge(low: PodExtras, high: PodExtras) -> PodExtras:
    values: dict[str, Any] = {}
    for each in fields(PodExtras):
        before, after = getattr(low, each.name), getattr(high, each.name)
        if each.name == "patches":
            values[each.name] = (*before, *after)
        elif each.name == "affinity" or not isinstance(after, Mapping):
            values[each.name] = after or before
        else:
            values[each.name] = {**before, **after}
    values["env"] = _without(values["env"], high.secret_env, kept=high.env)
    values["secret_env"] = _without(values["secret_env"], high.env, kept=high.secret_env)
    return PodExtras(**values)


def _without(names: Mapping[str, Any], taken: Mapping[str, Any], *, kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return variables without those that a later layer has made a value of the other kind."""
    return {name: value for name, value in names.items() if name not in taken or name in kept}


def as_json(extras: PodExtras) -> dict[str, Any]:
    """Return what is set, for JSON."""
    values = {each.name: getattr(extras, each.name) for each in fields(PodExtras)}
    return {name: value for name, value in values.items() if value}


def from_json(values: Mapping[str, Any]) -> PodExtras:
    """Read what `as_json` returned."""
    tuples = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
    return PodExtras(**{**values, **tuples})


def encode(pods: RunPods) -> str:
    """Write the additions as the value of one environment variable."""
    values = {each.name: getattr(pods, each.name) for each in fields(RunPods)}
    parts = {name: as_json(value) if isinstance(value, PodExtras) else value for name, value in values.items()}
    return dumps({name: value for name, value in parts.items() if value})


def decode(text: str) -> RunPods:
    """Read what `encode` wrote.

    Raises:
        ValueError: it is something else.

    """
    try:
        parts: dict[str, Any] = {
            name: part if isinstance(part, str) else from_json(part) for name, part in json.loads(text).items()
        }
        return RunPods(**parts)
    except (AttributeError, TypeError) as error:
        raise ValueError(f"it must be a mapping of pods ({error})") from None


def dumps(value: Any) -> str:
    """Write JSON that Prefect does not take for a template of its own."""
    # Two braces would be a placeholder of Prefect's; inside a JSON string one may be written as its number.
    text = json.dumps(value, sort_keys=True)
    return text.replace("{{", "{\\u007b")
