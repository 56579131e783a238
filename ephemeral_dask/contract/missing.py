"""Sentences about objects that pods refer to and that do not exist: the same in a preview and in a run."""

from __future__ import annotations


def reference(kind: str, name: str, namespace: str = "") -> str:
    """Return the sentence, without full stop, for an object that does not exist.

    Args:
        kind: such as Secret.
        name: of the object.
        namespace: of the object; empty for an object of the whole cluster.

    """
    where = f"namespace '{namespace}'" if namespace else "the cluster"
    return f"{kind} '{name}' does not exist in {where}: create it, or correct the name in Pulumi.<stack>.yaml"


def key(kind: str, name: str, missing: str, namespace: str) -> str:
    """Return the sentence for a Secret or ConfigMap without the key that a pod refers to."""
    return (
        f"{kind} '{name}' in namespace '{namespace}' has no key '{missing}': add it, or correct the key in"
        " Pulumi.<stack>.yaml"
    )


def object_or_key(kind: str, name: str, missing: str, namespace: str) -> str:
    """Return the sentence of a pod that sees no value and cannot tell whether the object or its key is missing."""
    return (
        f"{kind} '{name}' with key '{missing}' does not exist in namespace '{namespace}': create it, or correct name or"
        " key in Pulumi.<stack>.yaml"
    )


def resource(name: str) -> str:
    """Return the sentence for an extended resource that no node has."""
    return (
        f"no node of the cluster offers {name}: install the device plugin on a node that has it, or correct the name in"
        " Pulumi.<stack>.yaml"
    )
