"""A parameter and a result with classes of this module, a helper function, and data in a file beside it."""

from dataclasses import dataclass
from pathlib import Path

from prefect import flow, task, unmapped
from pydantic import BaseModel

from ephemeral_dask import ephemeral_dask

DATA = Path(__file__).parent / "data"


class Report(BaseModel):
    """Which countries to add up."""

    countries: list[str]


@dataclass(frozen=True)
class Total:
    """What was sold in a country."""

    country: str
    amount: int


def amounts(country: str, file: Path) -> list[int]:
    """Return the amounts of a country's lines."""
    rows = (line.split(",") for line in file.read_text().splitlines())
    return [int(amount) for name, amount in rows if name == country]


@task
def total(report: Report, number: int, file: Path) -> Total:
    """Add up one of the report's countries."""
    return Total(report.countries[number], sum(amounts(report.countries[number], file)))


@flow(task_runner=ephemeral_dask(maximum=1, worker_cpu="100m", worker_memory="512Mi"))
def sales(report: Report) -> int:
    """Return the sum of all countries."""
    Path("scratch.txt").write_text("the working directory can be written to")
    totals = total.map(unmapped(report), range(len(report.countries)), unmapped(DATA / "orders.csv")).result()
    if not all(isinstance(each, Total) for each in totals):
        raise TypeError(f"the results came back as {[type(each) for each in totals]}")
    return sum(each.amount for each in totals)
