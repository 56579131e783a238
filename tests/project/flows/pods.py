"""A run whose pods can be looked at until a file appears on its worker."""

import os
import time
from pathlib import Path

from prefect import flow, get_run_logger, task

from ephemeral_dask import ephemeral_dask

SETTINGS = Path("/etc/app/settings.txt")


@task
def wait_for(release: str) -> str:
    """Wait until the file exists, for five minutes at most, and return what the worker has beside code."""
    deadline = time.monotonic() + 300
    while not Path(release).exists() and time.monotonic() < deadline:
        time.sleep(0.5)
    return f"{SETTINGS.read_text().strip()} {os.environ['GREETING']} {len(os.environ['PGPASSWORD'])}"


@flow(task_runner=ephemeral_dask(maximum=1, worker_cpu="100m", worker_memory="512Mi"))
def pods(release: str = "/tmp/release") -> str:
    """Return what the worker has."""
    answer = wait_for.submit(release).result()
    get_run_logger().info("The worker has %s", answer)
    return answer
