"""A flow that lives for as long as a test needs it, without a Dask cluster."""

import time

from prefect import flow


@flow
def patient(seconds: int = 60) -> int:
    """Live for some seconds, in one step: only Prefect's own threads use the API meanwhile."""
    time.sleep(seconds)
    return seconds
