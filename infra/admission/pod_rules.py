"""Validations of the pods in an object, whatever its kind.

They use the CEL variable `pods`, a list of pod specs. None of them relies on a field that the API server would set.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from infra.admission.allowed import Allowed
from infra.admission.names import Names, literal

Validation = dict[str, Any]

_VOLUMES: Final = ("configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret")
"""Kinds of volumes; `csi` and `ephemeral` beside them where a patch of the stack has one."""

_PROJECTED: Final = ("clusterTrustBundle", "configMap", "downwardAPI", "secret", "serviceAccountToken")

CONTAINERS: Final = "(p.?containers.orValue([]) + p.?initContainers.orValue([]))"
"""The containers of a pod `p`."""


def validations(allowed: Allowed, images: Names | None, own: str = "") -> list[Validation]:
    """Return what holds for each pod.

    Args:
        allowed: what its pods may name.
        images: of all containers, beside those that patches name; any if None.
        own: expression of the name of one more Secret, which volumes alone may name.

    """
    return [
        _of_pods(
            "!p.?hostNetwork.orValue(false) && !p.?hostPID.orValue(false) && !p.?hostIPC.orValue(false)",
            "a pod of a run uses no network, processes or memory of its node: remove hostNetwork, hostPID and hostIPC",
        ),
        _of_containers(
            "!c.?securityContext.?privileged.orValue(false)"
            " && c.?ports.orValue([]).all(port, port.?hostPort.orValue(0) == 0)",
            "a container of a run is not privileged and takes no port of its node: remove privileged and hostPort",
        ),
        _of_pods(
            allowed.accounts.contain("p.?serviceAccountName.orValue(p.?serviceAccount.orValue('default'))"),
            f"these pods run as ServiceAccount {allowed.accounts}: remove serviceAccountName, or set it in a patch of"
            " the stack file",
        ),
        *_of_what_is_read(allowed, own),
        _of_pods(
            _each("imagePullSecrets", allowed.pull_secrets.contain("each.?name.orValue('')")),
            f"these pods pull with the Secrets {allowed.pull_secrets}: name others in image.pullSecrets of the stack"
            " file",
        ),
        _of_pods(
            f"p.?priorityClassName.orValue('') == '' || {allowed.priority_classes.contain('p.priorityClassName')}",
            f"the stack declares the priority classes {allowed.priority_classes}: name others with priorityClass in the"
            " stack file",
        ),
        *(
            []
            if images is None
            else [
                _of_containers(
                    (images | allowed.images).contain("c.?image.orValue('')"),
                    f"image.only is set in the stack file, which admits the images {images | allowed.images}",
                )
            ]
        ),
    ]


def _of_what_is_read(allowed: Allowed, own: str) -> Iterator[Validation]:
    """Yield what holds for volumes and variables."""
    kinds = [
        "name",
        *_VOLUMES,
        *(["csi"] if allowed.drivers else []),
        *(["ephemeral"] if allowed.ephemeral else []),
    ]
    yield _of_pods(
        _each("volumes", f"each.all(kind, kind in {literal(kinds)})"),
        f"volumes of these pods are of kind {', '.join(kinds[1:])}: set another kind in a patch of the stack file",
    )
    if allowed.drivers:
        driver = _named(allowed.drivers, "each.csi", "driver")
        secret = _named(allowed.secrets, "each.csi.nodePublishSecretRef")
        yield _of_pods(
            _each("volumes", f"{driver} && (!has(each.csi) || {secret})"),
            f"the stack declares the CSI drivers {allowed.drivers}: set another one in a patch of the stack file",
        )
    yield _of_pods(
        _each_source(f"source.all(kind, kind in {literal(list(_PROJECTED))})"),
        f"a projected volume of these pods has sources of kind {', '.join(_PROJECTED)}",
    )
    for kind, names, volume, key in (
        ("Secret", allowed.secrets, "secret", "secretName"),
        ("ConfigMap", allowed.config_maps, "configMap", "name"),
    ):
        message = (
            f"the stack declares the {kind}s {names} for these pods: name others in the stack file, such as in"
            f" pods.volumes or pods.{'secretEnv' if kind == 'Secret' else 'envFrom'}"
        )
        mounted, projected = _named(names, f"each.{volume}", key), _named(names, f"source.{volume}")
        if kind == "Secret" and own:
            mounted = f"({mounted} || each.secret.secretName == {own})"
            message += ", beside the certificates of the pods' own Dask cluster"
        yield _of_pods(f"{_each('volumes', mounted)} && {_each_source(projected)}", message)
        variable = _named(names, f"variable.valueFrom.{volume}KeyRef")
        yield _of_containers(
            f"c.?env.orValue([]).all(variable, !has(variable.valueFrom) || {variable})"
            f" && c.?envFrom.orValue([]).all(source, {_named(names, f'source.{volume}Ref')})",
            message,
        )
    yield _of_pods(
        _each("volumes", _named(allowed.claims, "each.persistentVolumeClaim", "claimName")),
        f"the stack declares the claims {allowed.claims} for these pods: name others in the stack file, such as in"
        " pods.volumes",
    )


def _named(names: Names, field: str, key: str = "name") -> str:
    """Return the expression for: the field is unset, or names one of the names."""
    value = f"{field}.?{key}.orValue('')"
    return f"(!has({field}) || {names.contain(value)})"


def _each_source(expression: str) -> str:
    return _each("volumes", f"!has(each.projected) || each.projected.?sources.orValue([]).all(source, {expression})")


def _of_pods(expression: str, message: str) -> Validation:
    return {"expression": f"variables.pods.all(p, {expression})", "message": message}


def _of_containers(expression: str, message: str) -> Validation:
    return _of_pods(f"{CONTAINERS}.all(c, {expression})", message)


def _each(field: str, expression: str) -> str:
    return f"p.?{field}.orValue([]).all(each, {expression})"
