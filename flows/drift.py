"""Does yesterday's model still read today's digits? A nightly flow for the day that it was scheduled for.

The day comes from the schedule and not from the clock: a run that is late, retried or started for a past day
(`make run FLOW=drift/nightly PARAMS='day="2026-03-01"'`) does the same work. On a laptop: `python -m flows.drift`.
"""

from datetime import date
from statistics import mean

import numpy as np
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from ephemeral_dask import ephemeral_dask

PARTS = 6


@task(retries=1)
def accuracy(day: date, part: int) -> float:
    """Return the accuracy on one part of the day's digits, which have noise of that day's own."""
    images, digits = load_digits(return_X_y=True)
    model = KNeighborsClassifier().fit(images[::2], digits[::2])
    samples, labels = images[1::2][part::PARTS], digits[1::2][part::PARTS]
    worn = samples + np.random.default_rng([day.toordinal(), part]).normal(0, 2, size=samples.shape)
    return float(model.score(worn, labels))


@flow(task_runner=ephemeral_dask(maximum=2, worker_cpu="200m", worker_memory="768Mi", scaling="cheap"))
def drift(day: date | None = None, least: float = 0.9) -> float:
    """Return the day's accuracy, and fail below `least`, so that an alert can be sent."""
    day = day or flow_run.scheduled_start_time.date()
    reached = mean(accuracy.map(day, range(PARTS)).result())
    create_markdown_artifact(f"{day}: accuracy {reached:.3f}, at least {least} required", "drift")
    if reached < least:
        raise ValueError(
            f"The model reads {reached:.1%} of the digits of {day}, at least {least:.1%} is required: train it again"
        )
    return reached


if __name__ == "__main__":
    drift()
