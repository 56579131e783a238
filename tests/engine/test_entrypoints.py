"""Both forms of an entrypoint, run as in a flow pod: by Prefect's executor, with Dask workers in other processes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support import flow_pod
from tests.support.flow_pod import FlowPod
from tests.support.scratch_prefect import free_port
from tools.paths import ROOT

pytestmark = pytest.mark.xdist_group("entrypoints")

FILES = {
    "flows/__init__.py": "",
    "flows/sales.py": '''
        """A parameter and a result with classes of this module, a helper, and data in a file beside it."""
        from dataclasses import dataclass
        from pathlib import Path

        from prefect import flow, task, unmapped
        from prefect_dask import DaskTaskRunner
        from pydantic import BaseModel

        DATA = Path(__file__).parent / "data"

        class Report(BaseModel):
            countries: list[str]

        @dataclass(frozen=True)
        class Total:
            country: str
            amount: int

        def total_of(country: str, file: Path) -> Total:
            rows = [line.split(",") for line in file.read_text().splitlines()]
            return Total(country, sum(int(amount) for name, amount in rows if name == country))

        @task
        def total(report: Report, number: int, file: Path) -> Total:
            return total_of(report.countries[number], file)

        @flow(task_runner=DaskTaskRunner(address="ADDRESS"))
        def sales(report: Report) -> None:
            Path("scratch.txt").write_text("the working directory can be written to")
            assert Path("flows/data/orders.csv").is_file(), "the working directory has the files of the image"
            assert DATA == Path("FOLDER/flows/data"), f"imported from {__file__}, where no worker of a run finds it"
            totals = total.map(unmapped(report), [0, 1], DATA / "orders.csv").result()
            assert [type(each) for each in totals] == [Total, Total]
            assert [each.amount for each in totals] == [7, 5], totals
    ''',
    "flows/shared.py": """
        class Row:
            def __init__(self, number: int) -> None:
                self.number = number
    """,
    "flows/reports/__init__.py": "",
    "flows/reports/model.py": """
        from ..shared import Row

        class Line(Row): ...
    """,
    "flows/reports/monthly.py": '''
        """A module of a subpackage that imports from its own package and from the parent's."""
        from prefect import flow, task
        from prefect_dask import DaskTaskRunner

        from ..shared import Row
        from .model import Line

        @task
        def line(row: Row) -> Line:
            return Line(row.number + 1)

        @flow(task_runner=DaskTaskRunner(address="ADDRESS"))
        def monthly() -> None:
            made = line.submit(Row(1)).result()
            assert type(made) is Line and made.number == 2
    ''',
    "prefect.yaml": """
        pull: []
        deployments:
          - {name: by-file, entrypoint: "flows/sales.py:sales", work_pool: {name: entrypoints}}
          - {name: by-module, entrypoint: flows.sales.sales, work_pool: {name: entrypoints}}
          - {name: by-file, entrypoint: "flows/reports/monthly.py:monthly", work_pool: {name: entrypoints}}
          - {name: by-module, entrypoint: flows.reports.monthly.monthly, work_pool: {name: entrypoints}}
    """,
}
PARAMETERS: Mapping[str, Mapping[str, Any]] = {"sales": {"report": {"countries": ["FR", "DE"]}}, "monthly": {}}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, prefect_server: str) -> Iterator[FlowPod]:
    """Write the project, and start a Dask scheduler and a worker in it, which know it by PYTHONPATH alone."""
    home, folder = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("app")
    port = free_port()
    flow_pod.write(folder, FILES, ADDRESS=f"tcp://127.0.0.1:{port}", FOLDER=str(folder))
    (folder / "flows" / "data").mkdir()
    (folder / "flows" / "data" / "orders.csv").write_text("FR,3\nDE,5\nFR,4\n")
    shutil.copy(ROOT / ".prefectignore", folder)
    environment = flow_pod.environment(home, prefect_server, folder, ROOT)
    with (
        flow_pod.dask_pods(port, home, environment),
        flow_pod.registered(folder / "prefect.yaml", "entrypoints", prefect_server),
    ):
        yield FlowPod(prefect_server, folder, environment)


@pytest.mark.parametrize("form", ["by-file", "by-module"])
@pytest.mark.parametrize("flow", ["sales", "monthly"])
def test_a_flow_runs_the_same_in_both_forms_of_its_entrypoint(flow: str, form: str, image: FlowPod) -> None:
    ended = image.execute(flow, form, PARAMETERS[flow])
    assert ended.state["type"] == "COMPLETED", ended
