"""What a stack adds to the pods of runs: environment, files, resources, placement, metadata and patches."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from ephemeral_dask.contract import pods, reserved, security
from infra.settings.metadata import AnnotationValues, DataKey, LabelValues, ObjectName, is_qualified_name
from infra.settings.patch_shape import projected_error, shape_errors
from infra.settings.pod import Toleration
from infra.settings.types import Bytes, Cpu, Model

_WHOLE: Final = re.compile(r"0*[1-9][0-9]{0,8}")
_PATCH_FIELDS: Final = ("metadata", "spec")


def _environment(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if errors := reserved.variable_errors(value):
        raise ValueError("; ".join(errors))
    return value


def _metadata(value: Mapping[str, str]) -> Mapping[str, str]:
    if errors := reserved.label_errors(value):
        raise ValueError("; ".join(errors))
    return value


def _annotations(value: Mapping[str, str]) -> Mapping[str, str]:
    if errors := security.annotation_violations(value):
        raise ValueError("; ".join(errors))
    return _metadata(value)


def _mount_path(value: str) -> str:
    if error := reserved.mount_error(value):
        raise ValueError(error)
    return value


def _part(value: str) -> str:
    if error := reserved.part_error(value):
        raise ValueError(error)
    return value


def _projected(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if error := projected_error(value):
        raise ValueError(error)
    return value


def _prefix(value: str) -> str:
    if error := reserved.prefix_error(value):
        raise ValueError(error)
    return value


def _is_native(name: str) -> bool:
    return name.startswith("requests.") or f".{name}".partition("/")[0].endswith(".kubernetes.io")


def _resources(value: Mapping[str, str]) -> Mapping[str, str]:
    for name, count in value.items():
        if "/" not in name or not is_qualified_name(name) or _is_native(name):
            message = f"contains '{name}', which is not an extended resource: write one like nvidia.com/gpu"
            raise ValueError(message)
        if not _WHOLE.fullmatch(count):
            message = f"contains {name}: {count}, and an extended resource is a whole number of at least 1"
            raise ValueError(message)
    return value


def _counts(value: object) -> object:
    """Take bare YAML numbers, such as `nvidia.com/gpu: 1`, for the quantities that they are."""
    return {name: str(count) for name, count in value.items()} if isinstance(value, Mapping) else value


def _patch(value: Mapping[str, Any]) -> Mapping[str, Any]:
    if unknown := sorted(set(value) - set(_PATCH_FIELDS)):
        message = f"contains {', '.join(unknown)}, and a patch of a pod has only metadata and spec"
        raise ValueError(message)
    if errors := shape_errors(value) or reserved.patch_errors(value):
        raise ValueError("; ".join(errors))
    return value


Variables = Annotated[Mapping[str, str], AfterValidator(_environment)]
Labels = Annotated[LabelValues, AfterValidator(_metadata)]
Annotations = Annotated[AnnotationValues, AfterValidator(_annotations)]
MountPath = Annotated[str, AfterValidator(_mount_path)]
VolumePart = Annotated[str, AfterValidator(_part)]
"""A file or folder within a volume."""
ExtendedResources = Annotated[Mapping[str, str], BeforeValidator(_counts), AfterValidator(_resources)]
Patch = Annotated[Mapping[str, Any], AfterValidator(_patch)]


class SecretVariable(Model):
    """A key of a Secret in the namespace of runs."""

    name: ObjectName
    key: DataKey


class _SecretOrConfigMap(Model):
    secret: ObjectName | None = None
    config_map: ObjectName | None = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.secret is None) == (self.config_map is None):
            raise ValueError("needs one of secret and configMap")
        return self


class EnvFrom(_SecretOrConfigMap):
    """A Secret or a ConfigMap in the namespace of runs, each key of which becomes an environment variable."""

    prefix: Annotated[str, AfterValidator(_prefix)] | None = None
    """Begins the name of each variable."""

    def manifest(self) -> dict[str, Any]:
        """Return it in the form of the Kubernetes API."""
        kind, name = ("secretRef", self.secret) if self.secret else ("configMapRef", self.config_map)
        return {kind: {"name": name}, **({"prefix": self.prefix} if self.prefix else {})}


class EmptyDir(Model):
    """An empty folder that goes with its pod."""

    medium: Literal["Memory"] | None = None
    """Memory for a folder such as `/dev/shm`: what is in it counts toward the pod's memory limit."""
    size_limit: Bytes | None = None


class Volume(Model):
    """A volume and where it is mounted: one of `claim`, `configMap`, `secret`, `emptyDir` and `projected`."""

    mount_path: MountPath
    sub_path: VolumePart | None = None
    """A folder or file of the volume, instead of all of it."""
    read_only: bool | None = None
    """True unless it is set; an emptyDir is always writable."""
    claim: ObjectName | None = None
    """A PersistentVolumeClaim."""
    config_map: ObjectName | None = None
    secret: ObjectName | None = None
    items: Mapping[DataKey, VolumePart] = Field(default_factory=dict)
    """Key of the ConfigMap or Secret -> file; all keys when empty."""
    empty_dir: EmptyDir | None = None
    projected: Annotated[Mapping[str, Any], AfterValidator(_projected)] | None = None
    """In the form of the Kubernetes API."""

    @model_validator(mode="after")
    def _one_source(self) -> Volume:
        sources = (self.claim, self.config_map, self.secret, self.empty_dir, self.projected)
        if sum(source is not None for source in sources) != 1:
            raise ValueError("needs one of claim, configMap, secret, emptyDir and projected")
        if self.items and not (self.config_map or self.secret):
            raise ValueError("items are keys of a configMap or a secret")
        if len(set(self.items.values())) < len(self.items):
            raise ValueError("items puts two keys into one file: give each a file of its own")
        if self.empty_dir is not None and self.read_only:
            raise ValueError("readOnly is true, and an emptyDir is always writable: remove it")
        if self.read_only is False and not (self.claim or self.empty_dir):
            raise ValueError("readOnly is false, and only a claim or an emptyDir can be written to: remove it")
        return self

    def contract(self) -> dict[str, Any]:
        """Return source and mount in the form of the Kubernetes API."""
        writable = self.empty_dir is not None or self.read_only is False
        mount = {
            "mountPath": self.mount_path,
            **({"subPath": self.sub_path} if self.sub_path else {}),
            **({} if writable else {"readOnly": True}),
        }
        return {"source": self._source(), "mount": mount}

    def _source(self) -> dict[str, Any]:
        items = {"items": [{"key": key, "path": path} for key, path in self.items.items()]} if self.items else {}
        if self.claim:
            return {"persistentVolumeClaim": {"claimName": self.claim}}
        if self.config_map:
            return {"configMap": {"name": self.config_map, **items}}
        if self.secret:
            return {"secret": {"secretName": self.secret, **items}}
        if self.empty_dir:
            return {"emptyDir": self.empty_dir.model_dump(by_alias=True, exclude_none=True)}
        return {"projected": dict(self.projected or {})}


class PodExtras(Model):
    """Additions to pods of runs. Unset keys add nothing."""

    env: Variables = Field(default_factory=dict)
    """Environment variables. No secrets: everyone with access to the work pool can read them."""
    secret_env: Annotated[Mapping[str, SecretVariable], AfterValidator(_environment)] = Field(default_factory=dict)
    """Environment variable -> Secret and key that hold its value."""
    env_from: tuple[EnvFrom, ...] = Field(default=(), strict=False)
    """Secrets and ConfigMaps, each key of which becomes an environment variable."""
    volumes: Mapping[str, Volume] = Field(default_factory=dict)
    """By name. A Secret, ConfigMap or claim must exist in the namespace of runs."""
    resources: ExtendedResources = Field(default_factory=dict)
    """Extended resources and their number, such as `nvidia.com/gpu: 1`."""
    cpu_limit: Cpu | None = None
    """No limit when unset."""
    ephemeral_storage: Bytes | None = None
    """Request and limit of local disk: `/tmp`, logs and writable folders."""
    scratch_size: Bytes | None = None
    """Size of `/tmp`, to which Dask workers spill; no limit when unset."""
    runtime_class: ObjectName | None = None
    priority_class: ObjectName | None = None
    node_selector: LabelValues = Field(default_factory=dict)
    tolerations: tuple[Toleration, ...] = Field(default=(), strict=False)
    affinity: Mapping[str, Any] = Field(default_factory=dict)
    """In the form of the Kubernetes API: `nodeAffinity`, `podAffinity`, `podAntiAffinity`."""
    topology_spread_constraints: tuple[Mapping[str, Any], ...] = Field(default=(), strict=False)
    """In the form of the Kubernetes API."""
    labels: Labels = Field(default_factory=dict)
    annotations: Annotations = Field(default_factory=dict)
    """Such as one that keeps the cluster autoscaler from evicting the pod."""
    patch: Patch = Field(default_factory=dict)
    """A strategic merge patch of the pod, with `metadata` and `spec`, for what no other key covers."""

    @model_validator(mode="after")
    def _consistent(self) -> PodExtras:
        if twice := sorted(set(self.env) & set(self.secret_env)):
            message = f"env and secretEnv both contain {twice[0]}: remove one"
            raise ValueError(message)
        for name in self.volumes:
            if name in reserved.VOLUMES or not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
                message = f"volumes contains '{name}': use another name, of lower-case letters, digits and dashes"
                raise ValueError(message)
        paths = [reserved.mount_folder(volume.mount_path) for volume in self.volumes.values()]
        if twice := [path for path in paths if paths.count(path) > 1]:
            message = f"volumes mounts two at {twice[0]}: give each a folder of its own"
            raise ValueError(message)
        return self

    def extras(self) -> pods.PodExtras:
        """Return it in the form that flow pods read."""
        return pods.PodExtras(
            env=dict(self.env),
            secret_env={name: {"name": each.name, "key": each.key} for name, each in self.secret_env.items()},
            env_from=tuple(each.manifest() for each in self.env_from),
            volumes={name: volume.contract() for name, volume in self.volumes.items()},
            resources=dict(self.resources),
            cpu_limit=self.cpu_limit or "",
            ephemeral_storage=self.ephemeral_storage or "",
            scratch=self.scratch_size or "",
            runtime_class=self.runtime_class or "",
            priority_class=self.priority_class or "",
            node_selector=dict(self.node_selector),
            tolerations=tuple(each.manifest() for each in self.tolerations),
            affinity=dict(self.affinity),
            topology_spread=tuple(dict(each) for each in self.topology_spread_constraints),
            labels=dict(self.labels),
            annotations=dict(self.annotations),
            patches=(dict(self.patch),) if self.patch else (),
        )


class CaBundle(_SecretOrConfigMap):
    """CA certificates in PEM form that all programs of a run trust, in place of the public ones."""

    key: DataKey = "ca.crt"

    def source(self) -> dict[str, Any]:
        """Return the volume with the bundle in the form of the Kubernetes API."""
        items = {"items": [{"key": self.key, "path": "ca.crt"}]}
        if self.secret:
            return {"secret": {"secretName": self.secret, **items}}
        return {"configMap": {"name": self.config_map, **items}}
