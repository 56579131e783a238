"""What a flow imports: `from ephemeral_dask import ephemeral_dask, large_workers`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ephemeral_dask.runner import ephemeral_dask, large_workers

__all__ = ["ephemeral_dask", "large_workers"]


def __getattr__(name: str) -> Any:
    """Import the task runner when it is asked for: `ephemeral_dask.contract` needs neither Prefect nor Dask."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ephemeral_dask import runner  # noqa: PLC0415  see above

    return getattr(runner, name)
