"""The worst case of Dask capacity as Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from tools.summary import capacity
from tools.summary.cells import Unit, before_after, cores, line, memory, span, spans
from tools.summary.page import Capacity, Load


def blocks(section: Capacity | None) -> list[str]:
    """Return the section; empty when nothing of it changes, or when the work pools are not known."""
    if section is None or not section.loads:
        return []
    changed = [load for load in section.loads if load.old != load.new]
    if not changed:
        return []
    table = [
        "| deployment | workers x runs | one worker | CPU of all | memory of all |",
        "|---|---|---|---|---|",
        *(_load(load) for load in changed),
        line(f"**all deployments ({len(section.loads)})**", *_total(section)),
    ]
    bounds = f"A run or a flow's own code may ask for more workers, up to the stack's ceiling of {section.ceiling}."
    notes = [f"Requests of whole runs: workers, scheduler and the flow's own pod. {bounds}"]
    unlimited = [load.name for load in section.loads if load.new is not None and load.new.runs is None]
    if unlimited:
        each = "them" if len(unlimited) > 1 else "it"
        notes.append(
            f"Nothing limits the runs of {spans(unlimited)}: set a `concurrency_limit` for {each} or for the work pool."
            f" {_largest(section)}"
        )
    missing = [load.name for load in section.loads if load.declared and load.new is None]
    if missing:
        names = ", ".join(span(name) for name in missing)
        notes.append(f"Not counted, because the size is secret or known only to the worker: {names}.")
    return ["#### Dask capacity, worst case", "\n".join(table), *notes, *_against_quota(section)]


def _load(load: Load) -> str:
    cells = [before_after(_part(load.old, index), _part(load.new, index)) for index in range(4)]
    return line(span(load.name), *cells)


def _part(demand: capacity.Demand | None, index: int) -> str:
    if demand is None:
        return "-"
    runs = demand.runs or 1
    each = "" if demand.runs is not None else " per run"
    if index == 0:
        workers = " + ".join(str(group.workers) for group in demand.groups)
        return f"{workers} per run" if demand.runs is None else f"{workers} x {demand.runs}"
    if index == 1:
        return "; ".join(
            f"{cores(group.cpu)} CPU, {memory(group.memory)}{_extended(group.resources)}" for group in demand.groups
        )
    return cores(runs * demand.cpu) + each if index == 2 else memory(runs * demand.memory) + each


def _extended(resources: Mapping[str, object]) -> str:
    return "".join(f", {count} {name}" for name, count in sorted(resources.items()))


def _total(section: Capacity) -> tuple[str, ...]:
    columns = []
    for total, loads in (
        (section.old, [load.old for load in section.loads]),
        (section.new, [load.new for load in section.loads]),
    ):
        if not any(loads):
            columns.append(("-",) * 3)
        elif total is None:
            columns.append(("no limit",) * 3)
        else:
            workers = f"{total.workers} workers{_extended(total.resources)}"
            columns.append((workers, cores(total.cpu), memory(total.memory)))
    workers, cpu, size = (before_after(*pair) for pair in zip(*columns, strict=True))
    return workers, "", cpu, size


def _largest(section: Capacity) -> str:
    demands = [(load.new, load.name) for load in section.loads if load.new is not None]
    demand, name = max(demands, key=lambda pair: (pair[0].memory, pair[0].cpu))
    return (
        f"The largest single run is one of {span(name)}: {demand.workers} workers, {cores(demand.cpu)} CPU,"
        f" {memory(demand.memory)}."
    )


def _against_quota(section: Capacity) -> list[str]:
    quota, total = section.quota, section.new
    if quota is None:
        return []
    parts = []
    pairs: tuple[tuple[str, float | None, float | None, Unit], ...] = (
        ("CPU", quota.cpu, total.cpu if total else None, cores),
        ("memory", quota.memory, total.memory if total else None, memory),
    )
    for name, hard, requested, text in pairs:
        if hard is None:
            continue
        if requested is None:
            parts.append(f"{name} is limited by it alone, to {text(hard)}")
        else:
            verdict = "**more than it admits**: runs would wait or fail" if requested > hard else "fits"
            parts.append(f"{name} {text(requested)} of {text(hard)} ({requested / hard:.0%}), {verdict}")
    for name, count in quota.resources.items():
        if total is None or not total.resources.get(name):
            continue
        requested = total.resources[name]
        verdict = "**more than it admits**: runs would wait or fail" if requested > count else "fits"
        parts.append(f"{name} {requested} of {count}, {verdict}")
    return [f"Against the quota of runs: {'; '.join(parts)}."]
