"""What the pods of runs may name: what the stack file adds to them, its patches included, and the platform's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from ephemeral_dask.contract import placeholders
from ephemeral_dask.contract.pods import PodExtras
from infra import job_template, naming
from infra.admission.names import Names, union
from infra.settings import CloudPrefect, JobVariable, Settings, layers


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What one kind of pods may name.

    Attributes:
        accounts: ServiceAccounts.
        secrets: Secrets in variables and volumes.
        config_maps: likewise.
        claims: PersistentVolumeClaims.
        pull_secrets: Secrets for pulling images.
        priority_classes: beside none.
        drivers: CSI drivers of volumes in the pod itself.
        ephemeral: whether a claim may be part of the pod; the name has no meaning.
        images: those that patches name.

    """

    accounts: Names = field(default_factory=Names)
    secrets: Names = field(default_factory=Names)
    config_maps: Names = field(default_factory=Names)
    claims: Names = field(default_factory=Names)
    pull_secrets: Names = field(default_factory=Names)
    priority_classes: Names = field(default_factory=Names)
    drivers: Names = field(default_factory=Names)
    ephemeral: Names = field(default_factory=Names)
    images: Names = field(default_factory=Names)

    def __or__(self, other: Allowed) -> Allowed:
        """Return what either allows."""
        return Allowed(**{each.name: getattr(self, each.name) | getattr(other, each.name) for each in fields(Allowed)})


_ANYTHING: Final = Allowed(**{each.name: Names.any() for each in fields(Allowed)})

_OBJECTS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "secretKeyRef": ("secrets", ("name",)),
    "secretRef": ("secrets", ("name",)),
    "nodePublishSecretRef": ("secrets", ("name",)),
    # As a volume, and as a source of a projected one.
    "secret": ("secrets", ("secretName", "name")),
    "configMapKeyRef": ("config_maps", ("name",)),
    "configMapRef": ("config_maps", ("name",)),
    "configMap": ("config_maps", ("name",)),
    "persistentVolumeClaim": ("claims", ("claimName",)),
    "csi": ("drivers", ("driver",)),
}
"""Field of a pod that names an object -> attribute of `Allowed`, and the field of its own that has the name."""

_TEXTS: Final[Mapping[str, str]] = {
    "serviceAccountName": "accounts",
    "serviceAccount": "accounts",
    "priorityClassName": "priority_classes",
    "image": "images",
}

_WITHOUT_NAMES: Final = frozenset(
    {
        *("metadata", "labels", "annotations", "tolerations", "affinity", "nodeSelector", "hostAliases", "dnsConfig"),
        *("topologySpreadConstraints", "resources", "requests", "limits", "args", "command", "securityContext"),
        *("readinessProbe", "livenessProbe", "startupProbe", "lifecycle", "ports", "volumeMounts"),
    }
)
"""Fields of a pod in which nothing is named that a policy bounds."""


def flow_pods(settings: Settings) -> Allowed:
    """Return what flow pods may name."""
    return _shared(settings, naming.FLOW_RUN) | _union(
        _of_extras(layers.run_pods(settings, name).flow, pool.job_variables)
        for name, pool in settings.work_pools.items()
    )


def dask_pods(settings: Settings) -> Allowed:
    """Return what schedulers and workers may name."""
    return _shared(settings, naming.DASK) | _union(
        _of_extras(extras, pool.job_variables)
        for name, pool in settings.work_pools.items()
        for extras in _dask_extras(settings, name)
    )


def images(settings: Settings) -> Names | None:
    """Return the images of runs apart from those in patches; None if the stack admits any."""
    image = settings.image
    return union(map(_from, image.sources)) if image.only else None


def _from(source: str) -> Names:
    return Names.written(f"{source}{{{{ image }}}}", {}) if source.endswith("/") else Names.of(source)


def _shared(settings: Settings, account: str) -> Allowed:
    prefect = settings.prefect
    existing = prefect.key_secret if isinstance(prefect, CloudPrefect) else prefect.auth_secret
    return Allowed(
        accounts=Names.of(account),
        secrets=Names.of(existing.name if existing else naming.API_CREDENTIAL),
        claims=Names.of(job_template.claim(settings.results) or ""),
        pull_secrets=Names.of(*settings.image.pull_secrets),
    )


def _dask_extras(settings: Settings, pool: str) -> Iterator[PodExtras]:
    run_pods = layers.run_pods(settings, pool)
    yield from (run_pods.common, run_pods.scheduler, run_pods.worker)
    for profile in settings.dask.profiles.values():
        own = profile.contract()
        yield from (own.pod, own.scheduler.pod, *([own.large.pod] if own.large else []))


def _of_extras(extras: PodExtras, variables: Mapping[str, JobVariable]) -> Allowed:
    parts = {
        "env": [{"secretKeyRef": reference} for reference in extras.secret_env.values()],
        "envFrom": extras.env_from,
        "volumes": [volume["source"] for volume in extras.volumes.values()],
        "priorityClassName": extras.priority_class,
        "patches": extras.patches,
    }
    return _union(_of_part(parts, "", variables))


def _of_part(part: Any, where: str, variables: Mapping[str, JobVariable]) -> Iterator[Allowed]:
    """Yield what a part of a pod names.

    Args:
        part: as Kubernetes writes it, with placeholders.
        where: the field that it is, or that has the list in which it is.
        variables: of the work pool.

    """
    if isinstance(part, str):
        if where in _TEXTS:
            yield _named(_TEXTS[where], part, variables)
        elif _is_structure(part, variables):
            yield _ANYTHING
    elif isinstance(part, list | tuple):
        for each in part:
            if where == "imagePullSecrets" and isinstance(each, Mapping):
                yield _named("pull_secrets", str(each.get("name", "")), variables)
            else:
                yield from _of_part(each, where, variables)
    elif isinstance(part, Mapping):
        for name, value in part.items():
            if name in _WITHOUT_NAMES:
                continue
            if name in _OBJECTS and isinstance(value, Mapping):
                attribute, keys = _OBJECTS[name]
                yield from (_named(attribute, str(value[key]), variables) for key in keys if value.get(key))
            if name == "ephemeral" and value:
                yield Allowed(ephemeral=Names.any())
            yield from _of_part(value, name, variables)


def _named(attribute: str, text: str, variables: Mapping[str, JobVariable]) -> Allowed:
    return Allowed(**{attribute: Names.written(text, variables)})


def _is_structure(text: str, variables: Mapping[str, JobVariable]) -> bool:
    """Return whether a placeholder stands for a part of a pod that only a run knows."""
    match = placeholders.PATTERN.fullmatch(text)
    variable = variables.get(match[1]) if match else None
    return variable is not None and variable.type in ("object", "array")


def _union(parts: Iterable[Allowed]) -> Allowed:
    result = Allowed()
    for each in parts:
        result |= each
    return result
