"""Pulumi's address of a resource: `urn:pulumi:<stack>::<project>::<types>::<name>`."""

from __future__ import annotations


def name(urn: str) -> str:
    """Return the resource's name, which may hold the separator: a deployment can be called `etl::daily`."""
    return urn.split("::", 3)[-1]


def kind(urn: str) -> str:
    """Return the type, without those of the components around it, such as `kubernetes:apps/v1:Deployment`."""
    parts = urn.split("::", 3)
    return parts[2].rpartition("$")[2] if len(parts) == 4 else ""
