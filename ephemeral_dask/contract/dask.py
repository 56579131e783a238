"""The API of the Dask operator in Kubernetes."""

from __future__ import annotations

from typing import Final

GROUP: Final = "kubernetes.dask.org"
API_VERSION: Final = f"{GROUP}/v1"
