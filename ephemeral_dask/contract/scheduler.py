"""What the pod of a Dask scheduler takes: flows give it, and the stack's quota counts it."""

from __future__ import annotations

from typing import Final

CPU_REQUEST: Final = "100m"
MEMORY_REQUEST: Final = "256Mi"
MEMORY_LIMIT: Final = "1Gi"
