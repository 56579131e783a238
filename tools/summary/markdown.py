"""The page as Markdown for a pull request. Every value from outside stands in a code span, where nothing is markup."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from tools.summary import capacity
from tools.summary.differences import ABSENT, unknown
from tools.summary.events import SECRET, Plan
from tools.summary.page import Capacity, Change, Load, Page, Row

LIMIT: Final = 65_000
"""Characters of the whole text. GitHub takes 65,536 in a comment; the rest is for whoever adds a line to it."""

_ROWS: Final = 40
"""Fields that are shown of one resource."""

_WIDTH: Final = 100
"""Characters that are shown of one value."""

_WORDS: Final = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "import": "imported",
}


def marker(stack: str) -> str:
    """Return the line that a workflow knows its own comment by."""
    return f"<!-- preview of stack {stack} -->"


def render(stack: str, page: Page) -> str:
    """Return the summary of a preview that succeeded."""
    head = f"{marker(stack)}\n### Stack `{stack}`: {_headline(page)}"
    if not page.changes:
        return _fit([head, *_warnings(page.warnings)])
    blocks = [head]
    same = page.counts.get("same", 0)
    parts = {"images": page.images, "Prefect": page.prefect, "Kubernetes": page.kubernetes, "other": page.others}
    told = ", ".join(f"{len(changes)} {name}" for name, changes in parts.items() if changes)
    blocks.append(f"{told}{f'; {same} unchanged' if same else ''}.")
    blocks += _warnings(page.warnings)
    blocks += _section("Images", ["\n".join(_image(change) for change in page.images)] if page.images else [])
    blocks += _section("Prefect", [block for change in page.prefect for block in _detailed(change)])
    blocks += _capacity(page.capacity)
    blocks += _section("Kubernetes", _kubernetes(page.kubernetes))
    blocks += _section("Other resources", _kubernetes(page.others))
    return _fit(blocks)


def failure(stack: str, plan: Plan, last_words: str) -> str:
    """Return the summary of a preview that failed.

    Args:
        stack: its name.
        plan: what the engine told before.
        last_words: what the command itself said, for a failure before the engine started.

    """
    said = plan.errors or (last_words.strip() or "Pulumi said nothing",)
    blocks = [f"{marker(stack)}\n### Stack `{stack}`: the preview failed, so nothing can be said about the changes"]
    blocks += [_fenced(text) for text in said if text.rstrip(".") not in ("preview failed", "update failed")]
    return _fit([*blocks, *_warnings(plan.warnings)])


def _headline(page: Page) -> str:
    counts = {name: page.counts[name] for name in _WORDS if page.counts.get(name)}
    if not counts:
        return f"nothing changes in {page.counts.get('same', 0)} resources"
    return ", ".join(f"{number} to {name}" for name, number in counts.items())


def _warnings(warnings: Iterable[str]) -> list[str]:
    listed = [f"> {_span(text, 400)}" for text in warnings]
    return ["\n".join(listed)] if listed else []


def _section(title: str, blocks: Sequence[str]) -> list[str]:
    return [f"#### {title}", *blocks] if blocks else []


def _image(change: Change) -> str:
    told = ", ".join(_change_of(row) for row in change.rows[:4]) if change.operation == "update" else ""
    built = {"create": "built for the first time", "update": "built again", "replace": "built again"}
    what = built.get(change.operation, _WORDS[change.operation])
    fate = "; its digest is known after the build" if change.operation in built else ""
    return f"- {_span(change.name)} is {what}{fate}{f' ({told})' if told else ''}"


def _detailed(change: Change) -> list[str]:
    blocks = [f"**{change.kind}** {_span(change.name)} is {_fate(change)}"]
    if change.rows:
        new = change.operation == "create"
        table = ["| field | value |", "|---|---|"] if new else ["| field | now | then |", "|---|---|---|"]
        for row in change.rows[:_ROWS]:
            item = row.difference
            cells = [_value(item.new)] if new else [_value(item.old), _value(item.new)]
            outside = " (edited outside)" if row.outside else ""
            table.append(_line(f"{_span(item.path)}{outside}", *cells))
        if len(change.rows) > _ROWS:
            table.append(_line(f"{len(change.rows) - _ROWS} more fields", *[""] * (1 if new else 2)))
        blocks.append("\n".join(table))
    if times := [f"- schedule {_span(slug)}: {when}" for slug, when in change.times.items()]:
        blocks.append("\n".join(["Next run times:", *times]))
    if note := _note(change):
        blocks.append(note)
    return blocks


def _fate(change: Change) -> str:
    if change.operation == "create" and change.vanished:
        return "made again (deleted outside)"
    return _WORDS[change.operation]


def _note(change: Change) -> str:
    if not change.hidden or change.operation != "update":
        return ""
    names = ", ".join(_span(path) for path in change.hidden)
    if change.rows:
        return f"Secret, so it cannot be told whether they change: {names}"
    return f"Only a secret can be what changes: {names}"


def _kubernetes(changes: Sequence[Change]) -> list[str]:
    if not changes:
        return []
    detailed = [change for change in changes if change.operation in ("update", "replace")]
    table = ["| | object | fields |", "|---|---|---|"]
    for change in detailed:
        shown = [_change_of(row) for row in change.rows[:_ROWS]]
        more = f"{len(change.rows) - _ROWS} more" if len(change.rows) > _ROWS else ""
        cell = "<br>".join(part for part in (*shown, more, _note(change)) if part)
        table.append(_line(_fate(change), f"{change.kind} {_span(change.name)}", cell))
    whole: dict[tuple[str, str], list[str]] = {}
    for change in sorted(changes, key=lambda change: (change.kind, change.name)):
        if change not in detailed:
            whole.setdefault((_fate(change), change.kind), []).append(_span(change.name))
    listed = [f"- {fate}: {kind} {', '.join(names)}" for (fate, kind), names in sorted(whole.items())]
    return [*(["\n".join(table)] if detailed else []), *(["\n".join(listed)] if listed else [])]


def _change_of(row: Row) -> str:
    item = row.difference
    outside = " (edited outside)" if row.outside else ""
    return f"{_span(item.path)}: {_value(item.old)} → {_value(item.new)}{outside}"


def _capacity(found: Capacity | None) -> list[str]:
    if found is None or not found.loads:
        return []
    changed = [load for load in found.loads if load.old != load.new]
    table = [
        "| deployment | workers x runs | one worker | CPU of all | memory of all |",
        "|---|---|---|---|---|",
        *(_load(load) for load in changed),
        _line(f"**all deployments ({len(found.loads)})**", *_total(found)),
    ]
    blocks = ["#### Dask capacity, worst case", "\n".join(table)]
    bounds = f"A run or a flow's own code may ask for more workers, up to the stack's ceiling of {found.ceiling}."
    notes = [f"Requests of whole runs: workers, scheduler and the flow's own pod. {bounds}"]
    unlimited = [load.name for load in found.loads if load.new is not None and load.new.runs is None]
    if unlimited:
        named = ", ".join(_span(name) for name in unlimited[:5]) + (" and others" if len(unlimited) > 5 else "")
        notes.append(f"Nothing limits the runs of {named}: set its `concurrency_limit`, or the work pool's.")
    missing = [load.name for load in found.loads if load.declared and load.new is None]
    if missing:
        named = ", ".join(_span(name) for name in missing)
        notes.append(f"Not counted, because the size is secret or known only to the worker: {named}.")
    return [*blocks, *notes, *_against_quota(found)]


def _load(load: Load) -> str:
    cells = [_before_after(_part(load.old, index), _part(load.new, index)) for index in range(4)]
    return _line(_span(load.name), *cells)


def _part(demand: capacity.Demand | None, index: int) -> str:
    if demand is None:
        return "-"
    if index == 0:
        workers = " + ".join(str(group.workers) for group in demand.groups)
        return f"{workers} x {'∞' if demand.runs is None else demand.runs}"
    if index == 1:
        return "; ".join(f"{_cores(group.cpu)} CPU, {_bytes(group.memory)}" for group in demand.groups)
    if demand.runs is None:
        return "no limit"
    return _cores(demand.runs * demand.cpu) if index == 2 else _bytes(demand.runs * demand.memory)


def _total(found: Capacity) -> tuple[str, ...]:
    columns = []
    for total, loads in (
        (found.old, [load.old for load in found.loads]),
        (found.new, [load.new for load in found.loads]),
    ):
        if not any(loads):
            columns.append(("-",) * 3)
        elif total is None:
            columns.append(("no limit",) * 3)
        else:
            columns.append((f"{total.workers} workers", _cores(total.cpu), _bytes(total.memory)))
    workers, cpu, memory = (_before_after(*pair) for pair in zip(*columns, strict=True))
    return workers, "", cpu, memory


def _against_quota(found: Capacity) -> list[str]:
    quota, total = found.quota, found.new
    if quota is None:
        return []
    parts = []
    cpu, memory = found.platform
    pairs = (
        ("CPU", quota.cpu, total.cpu + cpu if total else None, _cores),
        ("memory", quota.memory, total.memory + memory if total else None, _bytes),
    )
    for name, hard, asked, text in pairs:
        if hard is None:
            continue
        if asked is None:
            parts.append(f"{name} is limited by it alone, to {text(hard)}")
        else:
            verdict = "**more than it admits**: runs would wait or fail" if asked > hard else "fits"
            parts.append(f"{name} {text(asked)} of {text(hard)} ({asked / hard:.0%}), {verdict}")
    return [f"Against the namespace's quota, the platform's own pods included: {'; '.join(parts)}."]


def _before_after(old: str, new: str) -> str:
    return new if old == new else f"{old} → **{new}**"


def _cores(value: float) -> str:
    return f"{round(value, 3):g}"


def _bytes(value: float) -> str:
    for unit, size in (("Ti", 2**40), ("Gi", 2**30), ("Mi", 2**20)):
        if value >= size:
            return f"{value / size:.4g} {unit}B"
    return f"{value:g} B"


def _line(*cells: str) -> str:
    """Return a line of a table; a pipe would end its cell even inside a code span."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _value(value: Any) -> str:
    if value is ABSENT or value is None:
        return "-"
    if value == SECRET:
        return "secret"
    if unknown(value):
        return "known after the update"
    return _span(value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False))


def _span(text: str, width: int = _WIDTH) -> str:
    """Return text as a code span of one line."""
    line = " ".join(text.split())
    line = line if len(line) <= width else f"{line[: width - 1]}…"
    # A backtick would end the span.
    line = line.replace("`", "'")
    return f"`{line}`" if line else "` `"


def _fenced(text: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text}\n{fence}"


def _fit(blocks: Iterable[str]) -> str:
    """Join the blocks and cut the text at a line when it is too long for a comment."""
    text = "\n\n".join(blocks) + "\n"
    if len(text) <= LIMIT:
        return text
    note = "\n\n**Cut here: the rest does not fit into a comment.** `make preview` shows all of it.\n"
    cut = text[: LIMIT - len(note) - len("\n```")]
    kept = cut[: cut.rfind("\n")]
    inside = sum(line.startswith("```") for line in kept.splitlines()) % 2
    return kept + ("\n```" if inside else "") + note
