"""What do handwritten digits have in common? Their principal components, with a Dask array inside a task.

The array is 200 noisy copies of scikit-learn's 1,797 digits, some 180 MB that no worker ever holds at once: the task
builds a graph of chunks and lends its place on the worker to the work that the graph makes.
On a laptop: `python -m flows.components`.
"""

from typing import Annotated, Any

import dask.array as da
import numpy as np
from prefect import flow, get_run_logger, task
from prefect_dask.utils import get_dask_client
from pydantic import Field
from sklearn.datasets import load_digits

from ephemeral_dask import ephemeral_dask

PIXELS = 64


def noisy(copies: int, noise: float, chunks: int = 8) -> Any:
    """Return the digits `copies` times below each other, a Dask array, each pixel (0..16) with its own normal noise."""
    digits = da.from_array(load_digits().data, chunks=(-1, PIXELS))
    rows = da.concatenate([digits] * copies).rechunk((-(-copies // chunks) * len(digits), PIXELS))
    return rows + da.random.default_rng(0).normal(0, noise, size=rows.shape, chunks=rows.chunks)


@task
def explained(copies: int, noise: float) -> list[float]:
    """Return the share of the variance that each principal component explains, the largest first."""
    with get_dask_client():
        rows = noisy(copies, noise)
        centred = rows - rows.mean(axis=0)
        covariance = (centred.T @ centred / len(rows)).compute()
    shares = np.linalg.eigvalsh(covariance)[::-1]
    return [float(share) for share in shares / shares.sum()]


@flow(task_runner=ephemeral_dask(maximum=3, worker_cpu="200m", worker_memory="1Gi", worker_threads=2))
def components(
    copies: Annotated[int, Field(ge=1)] = 200,
    noise: Annotated[float, Field(ge=0)] = 1.0,
    share: Annotated[float, Field(gt=0, lt=1)] = 0.8,
) -> int:
    """Return how many of the 64 components explain that share of the variance."""
    shares = explained.submit(copies, noise).result()
    needed = int(np.searchsorted(np.cumsum(shares), share)) + 1
    get_run_logger().info("%d of %d components explain %.0f %% of the variance", needed, PIXELS, 100 * share)
    return needed


if __name__ == "__main__":
    components()
