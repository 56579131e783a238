"""When does a city ride its bicycles? Parquet files of a bucket or a folder, read with dask.dataframe, and a plot.

`source` is an address such as `s3://data/rides` or a folder. What it lacks is made up: a file of rides for each month.
On a laptop: `python -m examples.parquet.rides`.
"""

import base64
from io import BytesIO
from tempfile import gettempdir
from typing import Annotated

import dask.dataframe as dd
import fsspec
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from prefect import flow, task, unmapped
from prefect.artifacts import create_image_artifact
from prefect_dask.utils import get_dask_client
from pydantic import Field

from ephemeral_dask import ephemeral_dask


@task(retries=2, retry_delay_seconds=2)
def month_of_rides(month: int, source: str, rides: int) -> str:
    """Return the address of a month's file. One that does not exist is written, the same at every attempt."""
    address = f"{source}/2026-{month:02}.parquet"
    files, path = fsspec.url_to_fs(address)
    if not files.exists(path):
        random = np.random.default_rng(month)
        day = random.integers(1, 29, rides)
        peaks = np.where(pd.to_datetime({"year": 2026, "month": month, "day": day}).dt.dayofweek < 5, 8, 14)
        table = pd.DataFrame(
            {
                "start": pd.to_datetime({"year": 2026, "month": month, "day": day, "hour": 0})
                + pd.to_timedelta(random.normal(peaks, 2.5) % 24, unit="h"),
                "minutes": random.gamma(3, 4 + month / 4, rides),
            }
        )
        files.makedirs(files._parent(path), exist_ok=True)  # noqa: SLF001  fsspec has no public name for it
        table.to_parquet(address)
    return address


@task(retries=2, retry_delay_seconds=2)
def by_hour(addresses: list[str]) -> pd.DataFrame:
    """Return rides and their mean minutes per hour of the day, on working days and weekends."""
    with get_dask_client():
        rides = dd.read_parquet(addresses)
        rides["hour"] = rides.start.dt.hour
        rides["weekend"] = rides.start.dt.dayofweek >= 5
        table = rides.groupby(["weekend", "hour"]).minutes.agg(["count", "mean"]).compute()
    hours: pd.DataFrame = table.sort_index()
    return hours


def plot(hours: pd.DataFrame) -> bytes:
    """Return the number of rides per hour as a PNG."""
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    for weekend, rows in hours.groupby(level="weekend"):
        axes.plot(rows.index.get_level_values("hour"), rows["count"], label="weekend" if weekend else "working day")
    axes.set(xlabel="hour", ylabel="rides")
    axes.legend()
    image = BytesIO()
    figure.savefig(image, format="png")
    return image.getvalue()


@flow(task_runner=ephemeral_dask(maximum=3, worker_cpu="200m", worker_memory="1Gi"))
def rides(
    source: str = f"{gettempdir()}/rides",
    months: Annotated[int, Field(ge=1, le=12)] = 6,
    rides_per_month: Annotated[int, Field(ge=1)] = 100_000,
) -> int:
    """Return how many rides there were, and publish their number per hour as a plot."""
    addresses = month_of_rides.map(range(1, months + 1), unmapped(source), unmapped(rides_per_month)).result()
    hours = by_hour.submit(addresses).result()
    image = base64.b64encode(plot(hours)).decode()
    create_image_artifact(f"data:image/png;base64,{image}", "rides", f"Rides per hour in {source}")
    return int(hours["count"].sum())


if __name__ == "__main__":
    rides()
