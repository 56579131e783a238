"""What a flow imports: `from flows.runtime import ephemeral_dask`."""

from flows.runtime.runner import ephemeral_dask, large_workers

__all__ = ["ephemeral_dask", "large_workers"]
