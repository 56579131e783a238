"""A Dask definition as another stack with an older dask-kubernetes would have applied it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from infra import naming

APPLY: Final = (
    "apply",
    "--server-side",
    "--force-conflicts",
    "--field-manager=pulumi-kubernetes-of-another-stack",
    "--filename",
    "-",
)
"""What kubectl is asked for to do the same."""


def older(there: Mapping[str, Any]) -> dict[str, Any]:
    """Return the definition that is there, in an older edition.

    Args:
        there: what kubectl shows.

    """
    return {
        "apiVersion": there["apiVersion"],
        "kind": there["kind"],
        "metadata": {"name": there["metadata"]["name"], "annotations": {naming.DASK_VERSION: "2024.1.0"}},
        "spec": {**there["spec"], "names": {**there["spec"]["names"], "shortNames": ["older"]}},
    }
