"""The artifacts and the result of a run, as a person reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort
from rich import box
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

PLATFORM_KEYS: Final = frozenset({"dask-dashboard", "dask-summary"})
"""Artifacts of the runtime: a dashboard that is gone when the run has ended, and what its last log line says too."""

TREND_PREFIX: Final = "dask-trend-"
"""Beginning of the key of a deployment's table of its last runs, which is for Prefect's UI."""

RESULT_KEY: Final = "flow-result"
"""The runtime's artifact with what a flow returned, as JSON in a Markdown code block."""

_WIDTH: Final = 120
"""Columns where there is no terminal."""
_ROWS: Final = 10
"""Rows of a table that are printed; Prefect's UI has all."""


def console() -> Console:
    """Return standard output for what a run has produced."""
    plain = Console(highlight=False, emoji=False)
    return plain if plain.is_terminal else Console(highlight=False, emoji=False, width=_WIDTH)


async def print_artifacts(client: PrefectClient, flow_run: UUID, subflow_runs: Sequence[UUID], output: Console) -> None:
    """Print the artifacts that the flow, its subflows and their tasks created, and what the flow returned."""
    run_filter = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run, *subflow_runs]))
    results = []
    for artifact in reversed(await client.read_artifacts(artifact_filter=run_filter, sort=ArtifactSort.CREATED_DESC)):
        if artifact.key == RESULT_KEY:
            results += [artifact] if artifact.flow_run_id == flow_run else []
        # An artifact without a key is Prefect's own note of where a result is stored.
        elif artifact.key is not None and not _of_platform(artifact.key):
            print_artifact(artifact, output)
    for artifact in results[-1:]:
        text = str(artifact.data).removeprefix("```json\n").removesuffix("\n```")
        output.print(Text(f"result: {text}"), soft_wrap=True)


def _of_platform(key: str) -> bool:
    return key in PLATFORM_KEYS or key.startswith(TREND_PREFIX)


def print_artifact(artifact: Artifact, output: Console) -> None:
    """Print one artifact: a table as a table, Markdown as text, anything else as JSON."""
    title = f"{artifact.key}: {artifact.description}" if artifact.description else str(artifact.key)
    output.print(Text(f"\n{title}"), soft_wrap=True)
    data = artifact.data
    if artifact.type == "table":
        rows = _rows(json.loads(data) if isinstance(data, str) else data)
        output.print(_table(rows[:_ROWS]))
        if len(rows) > _ROWS:
            output.print(Text(f"... and {len(rows) - _ROWS} more rows in Prefect's UI"))
    elif artifact.type == "markdown" and isinstance(data, str) and output.is_terminal:
        output.print(Markdown(data))  # elsewhere Markdown as it is reads better than lines padded with spaces
    elif artifact.type == "progress":
        output.print(Text(f"{data} %"))
    else:
        text = data.strip() if isinstance(data, str) else json.dumps(data, indent=2, ensure_ascii=False)
        output.print(Text(text), soft_wrap=True)


def _rows(data: Any) -> list[Mapping[str, Any]]:
    """Return a table's rows, whichever of the three forms that Prefect takes it has."""
    if isinstance(data, Mapping):
        names = list(data)
        return [dict(zip(names, values, strict=False)) for values in zip(*data.values(), strict=False)]
    if isinstance(data, list):
        return [
            row if isinstance(row, Mapping) else {str(n): cell for n, cell in enumerate(_list(row), 1)} for row in data
        ]
    return [{"value": data}]


def _list(row: Any) -> list[Any]:
    return row if isinstance(row, list) else [row]


def _table(rows: Sequence[Mapping[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in names:
        numbers = all(isinstance(row.get(name), int | float | None) for row in rows)
        table.add_column(Text(str(name)), justify="right" if numbers else "left")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(name))) for name in names))
    return table


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
