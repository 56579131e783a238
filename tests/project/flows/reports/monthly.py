"""A module of a subpackage that imports from its own package and from its parent."""

from prefect import flow, task

from ephemeral_dask import ephemeral_dask

from ..shared import Row  # noqa: TID252  relative imports are what the test is about
from .model import Line


@task
def line(row: Row) -> Line:
    """Return the next line."""
    return Line(row.number + 1)


@flow(task_runner=ephemeral_dask(maximum=1, worker_cpu="100m", worker_memory="512Mi"))
def monthly() -> int:
    """Return the number of the line that a worker made."""
    result = line.submit(Row(1)).result()
    if not isinstance(result, Line):
        raise TypeError(f"the result came back as {type(result)}")
    return result.number
