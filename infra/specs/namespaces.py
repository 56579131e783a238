"""The two namespaces of a stack: what each is for, and the pair of anything that exists once in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Namespaces(Generic[T]):
    """The same thing for both namespaces, such as their names.

    Attributes:
        platform: of Prefect server, workers, Dask operator and reaper, with their Secrets and the database's volume.
        runs: of flow pods, their Jobs and Dask clusters, with their accounts, quota, results and Secrets.

    """

    platform: T
    runs: T
