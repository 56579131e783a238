"""The API of the Dask operator in Kubernetes."""

from __future__ import annotations

from typing import Final

GROUP: Final = "kubernetes.dask.org"
API_VERSION: Final = f"{GROUP}/v1"

CLUSTERS: Final = "daskclusters"
WORKER_GROUPS: Final = "daskworkergroups"
AUTOSCALERS: Final = "daskautoscalers"
JOBS: Final = "daskjobs"
"""Plural names of the operator's custom resources, as they stand in API paths, RBAC rules and CRD names."""
