"""Where on the result volume the results of a run are: in a folder of its deployment."""

from __future__ import annotations

from typing import Final

from ephemeral_dask.contract import environment

PREFIX: Final = "deployment-"
"""Begins the name of a folder. Runs without a deployment share the one that has no other part."""

EXPRESSION: Final = f"{PREFIX}$({environment.DEPLOYMENT_ID})"
"""The folder as Kubernetes expands it in a flow pod."""


def folder(deployment_id: str) -> str:
    """Return the folder of a deployment."""
    return f"{PREFIX}{deployment_id}"
