"""Objects that a pod refers to and that do not exist: Kubernetes' words about them, and what a flow pod lacks.

The texts are those of Kubernetes 1.28 to 1.35.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ephemeral_dask.contract import missing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ephemeral_dask.contract.pods import PodExtras

_KINDS: Final = {
    "secret": "Secret",
    "configmap": "ConfigMap",
    "persistentvolumeclaim": "PersistentVolumeClaim",
}
_OBJECT: Final = re.compile(r'\b(?P<kind>secret|configmap|persistentvolumeclaim) "(?P<name>[^"]+)" not found')
_KEY: Final = re.compile(
    r"couldn't find key (?P<key>\S+) in (?P<kind>Secret|ConfigMap) (?P<namespace>[^/\s]+)/(?P<name>\S+)"
)
_RUNTIME_CLASS: Final = re.compile(r'RuntimeClass "(?P<name>[^"]+)" not found')
_RESOURCE: Final = re.compile(r"Insufficient (?P<name>[\w.-]+/[\w.-]*\w)")
_PRIORITY_CLASS: Final = re.compile(r"no PriorityClass with name (?P<name>\S+) was found")


def explain(message: str, namespace: str) -> str:
    """Return the sentence for the missing object that a message of Kubernetes is about, with the message.

    Empty if the message is about none.
    """
    sentence = ""
    if match := _KEY.search(message):
        sentence = missing.key(match["kind"], match["name"], match["key"], match["namespace"])
    elif match := _OBJECT.search(message):
        sentence = missing.reference(_KINDS[match["kind"]], match["name"], namespace)
    else:
        for kind, pattern in (("RuntimeClass", _RUNTIME_CLASS), ("PriorityClass", _PRIORITY_CLASS)):
            if match := pattern.search(message):
                sentence = missing.reference(kind, match["name"])
    return f"{sentence} ({message})" if sentence else ""


def scarce(message: str) -> str:
    """Return the sentence for an extended resource that a pod waits for, with the message; the message alone if none.

    Kubernetes' words are the same whether no node offers it or all of it is in use.
    """
    match = _RESOURCE.search(message)
    return f"all {match['name']} are in use, or {missing.resource(match['name'])} ({message})" if match else message


def in_flow_pod(extras: PodExtras, environ: Mapping[str, str], namespace: str) -> Iterator[str]:
    """Yield a sentence for each Secret and ConfigMap that this flow pod was to have and does not.

    It starts without them: otherwise Kubernetes would never start it, and Prefect would show a run that is pending.
    """
    for variable, reference in extras.secret_env.items():
        if variable not in environ:
            name, key = reference["name"], reference["key"]
            sentence = missing.object_or_key("Secret", name, key, namespace)
            yield f"{sentence} (variable {variable} of the flow pod)"
    for volume in extras.volumes.values():
        path = volume["mount"]["mountPath"]
        for field, kind, name in (("secret", "Secret", "secretName"), ("configMap", "ConfigMap", "name")):
            source = volume["source"].get(field)
            if source and "subPath" not in volume["mount"] and _is_empty(Path(path), source):
                yield f"{missing.reference(kind, source[name], namespace)} (mounted at {path} in the flow pod)"


def _is_empty(folder: Path, source: Mapping[str, object]) -> bool:
    if not folder.is_dir():
        return False  # not this pod's own file system, as in a test
    items = source.get("items")
    if isinstance(items, list | tuple) and items:
        return not all((folder / str(item["path"])).exists() for item in items)
    return not any(folder.iterdir())
