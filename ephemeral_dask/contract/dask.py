"""The API of the Dask operator in Kubernetes."""

from __future__ import annotations

from typing import Final

GROUP: Final = "kubernetes.dask.org"
API_VERSION: Final = f"{GROUP}/v1"

CLUSTERS: Final = "daskclusters"
AUTOSCALERS: Final = "daskautoscalers"
WORKER_GROUPS: Final = "daskworkergroups"
JOBS: Final = "daskjobs"
"""Its kinds, as the API's paths spell them."""
