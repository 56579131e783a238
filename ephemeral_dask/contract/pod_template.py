"""A pod's template with a stack's additions in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

from ephemeral_dask.contract import quantities, reserved, security, strategic_merge
from ephemeral_dask.contract.pods import PodExtras


def extended(template: Mapping[str, Any], extras: PodExtras, *, waits: bool = True) -> dict[str, Any]:
    """Return a template with the additions in its first container and its pod.

    Plain environment variables are not among them: they belong into `env` of a work pool's template.

    Args:
        template: with `spec`, and `metadata` if there is any.
        extras: the additions.
        waits: whether the pod waits for a Secret or ConfigMap that does not exist. A flow pod must not: it says in
            Prefect what is missing, which nothing else could.

    """
    pod: dict[str, Any] = deepcopy({"metadata": {}, **template})
    for name, values in (("labels", extras.labels), ("annotations", extras.annotations)):
        if values:
            pod["metadata"][name] = {**values, **pod["metadata"].get(name, {})}
    spec = pod["spec"]
    container = spec["containers"][0]
    optional = {} if waits else {"optional": True}
    _add_environment(container, extras, optional)
    for name, volume in extras.volumes.items():
        spec.setdefault("volumes", []).append({"name": name, **_source(volume["source"], optional)})
        container.setdefault("volumeMounts", []).append({"name": name, **volume["mount"]})
    if any(_writable_claim(volume) for volume in extras.volumes.values()):
        spec["securityContext"] = {**spec.get("securityContext", {}), **security.volume_security()}
    _add_resources(container, extras)
    _add_placement(spec, extras)
    if extras.scratch:
        spec["volumes"] = [_limited(volume, extras.scratch) for volume in spec["volumes"]]
    return pod


def patched(template: Mapping[str, Any], patches: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a template with patches applied. A container that a patch adds gets the security context of ours.

    Raises:
        ValueError: the pod would break the restricted Pod Security Standard, lack what the platform put there, or mount
            a volume that it does not have; a clause that says how.

    """
    pod: Any = dict(template)
    own = {container["name"]: container for container in template["spec"]["containers"]}
    for patch in patches:
        pod = strategic_merge.merge(pod, patch)
    names = [container["name"] for container in pod["spec"].get("containers") or ()]
    if gone := [name for name in own if name not in names]:
        raise ValueError(f"would remove container '{gone[0]}', in which the platform's program runs: keep it")
    for name in ("initContainers", "containers"):
        for container in pod["spec"].get(name) or ():
            container["securityContext"] = {**security.container_security(), **(container.get("securityContext") or {})}
    volumes = {each["name"] for each in pod["spec"].get("volumes") or ()}
    for each in template["spec"].get("volumes") or ():
        if each["name"] in reserved.VOLUMES and each["name"] not in volumes:
            raise ValueError(f"would remove volume '{each['name']}', which the platform needs: keep it")
    for name, container in own.items():
        after = next(each for each in pod["spec"]["containers"] if each["name"] == name)
        if lost := _lost(container, after):
            raise ValueError(f"would remove {lost} of container '{name}', which the platform needs: keep it")
    annotations = pod.get("metadata", {}).get("annotations") or {}
    if errors := [*security.violations(pod["spec"]), *security.annotation_violations(annotations)]:
        raise ValueError(
            f"would break the restricted Pod Security Standard, so Kubernetes would refuse the pod: {'; '.join(errors)}"
        )
    for container in (*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or ())):
        if not container.get("image") and "image" in own.get(container["name"], {"image": ""}):
            raise ValueError(
                f"leaves container '{container['name']}' without an image: give it one, or name the pod's own"
                f" container, {', '.join(own)}"
            )
    _check_mounts(pod["spec"])
    result: dict[str, Any] = pod
    return result


def limit_error(container: Mapping[str, Any]) -> str:
    """Return why Kubernetes would refuse CPU or memory of a container, as a clause, or an empty string."""
    resources = container.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for name in ("cpu", "memory"):
        if name not in requests or name not in limits:
            continue
        numbers = f"{name} limit is {limits[name]} and {name} request {requests[name]}"
        try:
            below = quantities.is_below(limits[name], requests[name])
        except ValueError as error:
            return f"{numbers}: {error}"
        if below:
            return f"{numbers}: raise the limit, or lower the request"
    return ""


def _lost(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return what of the platform's a container does not have any more, or an empty string."""
    names = {each["name"] for each in after.get("env") or ()}
    for each in before.get("env") or ():
        if each["name"] not in names and reserved.variable_error(each["name"]):
            return f"variable {each['name']}"
    paths = {each["mountPath"] for each in after.get("volumeMounts") or ()}
    for each in before.get("volumeMounts") or ():
        if each["mountPath"] not in paths and each["name"] in reserved.VOLUMES:
            return f"the mount at {each['mountPath']}"
    return ""


def _check_mounts(spec: Mapping[str, Any]) -> None:
    # A preview does not know which of the platform's own volumes a run has.
    names = {*reserved.VOLUMES, *(each["name"] for each in spec.get("volumes") or ())}
    for kind in ("containers", "initContainers"):
        for container in spec.get(kind) or ():
            for mount in container.get("volumeMounts") or ():
                if mount.get("name") not in names:
                    raise ValueError(
                        f"mounts volume '{mount.get('name')}' at {mount.get('mountPath')}, and the pod has no volume of"
                        " that name: add it to spec.volumes, or to the key volumes"
                    )


def _add_environment(container: dict[str, Any], extras: PodExtras, optional: Mapping[str, Any]) -> None:
    if extras.secret_env:
        references = [
            {"name": name, "valueFrom": {"secretKeyRef": {**reference, **optional}}}
            for name, reference in extras.secret_env.items()
        ]
        kept = [each for each in container.get("env", []) if each["name"] not in extras.secret_env]
        container["env"] = [*kept, *references]
    if extras.env_from:
        container["envFrom"] = [
            {key: value if isinstance(value, str) else {**value, **optional} for key, value in each.items()}
            for each in extras.env_from
        ]


def _source(source: Mapping[str, Any], optional: Mapping[str, Any]) -> dict[str, Any]:
    if "projected" in source:
        projected = source["projected"]
        sources = [_source(each, optional) for each in projected.get("sources", ())]
        return {"projected": {**projected, "sources": sources}}
    return {kind: {**value, **optional} if kind in ("secret", "configMap") else value for kind, value in source.items()}


def _writable_claim(volume: Mapping[str, Any]) -> bool:
    return "persistentVolumeClaim" in volume["source"] and not volume["mount"].get("readOnly")


def _add_resources(container: dict[str, Any], extras: PodExtras) -> None:
    both = {**extras.resources, **({"ephemeral-storage": extras.ephemeral_storage} if extras.ephemeral_storage else {})}
    if both:
        resources = container["resources"]
        for bound in ("requests", "limits"):
            resources[bound] = {**resources.get(bound, {}), **both}
    if extras.cpu_limit:
        container["resources"]["limits"]["cpu"] = extras.cpu_limit


def _add_placement(spec: dict[str, Any], extras: PodExtras) -> None:
    fields = {
        "nodeSelector": dict(extras.node_selector),
        "tolerations": [dict(each) for each in extras.tolerations],
        "affinity": dict(extras.affinity),
        "topologySpreadConstraints": [dict(each) for each in extras.topology_spread],
        "priorityClassName": extras.priority_class,
        "runtimeClassName": extras.runtime_class,
    }
    spec.update({name: value for name, value in fields.items() if value})


def _limited(volume: Mapping[str, Any], limit: str) -> Mapping[str, Any]:
    if volume["name"] not in ("tmp", "scratch"):
        return volume
    return {**volume, "emptyDir": {**volume["emptyDir"], "sizeLimit": limit}}
