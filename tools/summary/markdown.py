"""The page as Markdown, for a pull request and for a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from tools.progress import counted
from tools.summary import capacity_table
from tools.summary.cells import line, span, value, values
from tools.summary.changes import Change, Row
from tools.summary.events import Plan
from tools.summary.page import Page

LIMIT: Final = 65_000
"""Characters of the whole text. GitHub takes 65,536 in a comment; the rest is for lines that others add."""

_ROWS: Final = 40
"""Fields that are shown of one resource."""

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
    parts = {
        "image": page.images,
        "Prefect object": page.prefect,
        "Kubernetes object": page.kubernetes,
        "other resource": page.others,
    }
    counts = ", ".join(counted(len(changes), noun) for noun, changes in parts.items() if changes)
    blocks.append(f"{counts}{f'; {same} unchanged' if same else ''}.")
    blocks += _warnings(page.warnings)
    blocks += _section("Images", ["\n".join(_image(change) for change in page.images)] if page.images else [])
    blocks += _section("Prefect", _prefect(page.prefect))
    blocks += capacity_table.blocks(page.capacity)
    blocks += _section("Kubernetes", _kubernetes(page.kubernetes))
    blocks += _section("Other resources", _kubernetes(page.others))
    return _fit(blocks)


def failure(stack: str, plan: Plan, last_words: str) -> str:
    """Return the summary of a preview that failed.

    Args:
        stack: its name.
        plan: what the engine said before.
        last_words: what the command itself said, for a failure before the engine started.

    """
    errors = plan.errors or (last_words.strip() or "Pulumi said nothing",)
    blocks = [f"{marker(stack)}\n### Stack `{stack}`: the preview failed, so the changes are not known"]
    blocks += [_fenced(text) for text in errors]
    return _fit([*blocks, *_warnings(plan.warnings)])


def _headline(page: Page) -> str:
    counts = {name: page.counts[name] for name in _WORDS if page.counts.get(name)}
    if not counts:
        return f"nothing changes in {page.counts.get('same', 0)} resources"
    return ", ".join(f"{number} to {name}" for name, number in counts.items())


def _warnings(warnings: Iterable[str]) -> list[str]:
    listed = [f"> {span(text, 400)}" for text in warnings]
    return ["\n".join(listed)] if listed else []


def _section(title: str, blocks: Sequence[str]) -> list[str]:
    return [f"#### {title}", *blocks] if blocks else []


def _image(change: Change) -> str:
    fields = ", ".join(_change_of(row) for row in change.rows[:4]) if change.operation == "update" else ""
    built = {"create": "built for the first time", "update": "built again", "replace": "built again"}
    what = built.get(change.operation, _WORDS[change.operation])
    fate = "; its digest is known after the build" if change.operation in built else ""
    return f"- {span(change.name)} is {what}{fate}{f' ({fields})' if fields else ''}"


def _prefect(changes: Sequence[Change]) -> list[str]:
    """Return the objects whose fields change one by one, and the others by what changes for them."""
    detailed = [change for change in changes if change.rows or change.hidden or change.operation != "update"]
    others: dict[str, list[str]] = defaultdict(list)
    for change in changes:
        if change not in detailed:
            reason = change.connection or "only what Pulumi stores beside their fields changes"
            others[reason].append(f"{change.kind} {span(change.name)}")
    listed = [f"- {reason}: {', '.join(names)}" for reason, names in others.items()]
    blocks = [block for change in detailed for block in _detailed(change)]
    return [*blocks, *(["\n".join(listed)] if listed else [])]


def _detailed(change: Change) -> list[str]:
    blocks = [f"**{change.kind}** {span(change.name)} is {_fate(change)}"]
    if change.rows:
        new = change.operation == "create"
        table = ["| field | value |", "|---|---|"] if new else ["| field | now | then |", "|---|---|---|"]
        for row in change.rows[:_ROWS]:
            item = row.difference
            cells = [value(item.new)] if new else values(item.old, item.new)
            outside = " (edited outside)" if row.outside else ""
            table.append(line(f"{span(item.path)}{outside}", *cells))
        if len(change.rows) > _ROWS:
            table.append(line(f"{len(change.rows) - _ROWS} more fields", *[""] * (1 if new else 2)))
        blocks.append("\n".join(table))
    if times := [f"- schedule {span(slug)}: {when}" for slug, when in change.times.items()]:
        blocks.append("\n".join(["Next run times:", *times]))
    if note := _note(change):
        blocks.append(note)
    return blocks


def _fate(change: Change) -> str:
    if change.operation == "create" and change.vanished:
        return "created again (deleted outside)"
    return _WORDS[change.operation]


def _note(change: Change) -> str:
    if not change.hidden or change.operation != "update":
        return ""
    names = ", ".join(span(path) for path in change.hidden)
    if change.rows:
        return f"Secret, so it is not known whether they change: {names}"
    return f"Only a secret can have changed: {names}"


def _kubernetes(changes: Sequence[Change]) -> list[str]:
    if not changes:
        return []
    detailed = [change for change in changes if change.operation in ("update", "replace")]
    table = ["| | object | fields |", "|---|---|---|"]
    for change in detailed:
        shown = [_change_of(row) for row in change.rows[:_ROWS]]
        more = f"{len(change.rows) - _ROWS} more" if len(change.rows) > _ROWS else ""
        cell = "<br>".join(part for part in (*shown, more, _note(change)) if part)
        table.append(line(_fate(change), f"{change.kind} {span(change.name)}", cell))
    whole: dict[tuple[str, str], list[str]] = {}
    for change in sorted(changes, key=lambda change: (change.kind, change.name)):
        if change not in detailed:
            whole.setdefault((_fate(change), change.kind), []).append(span(change.name))
    listed = [f"- {fate}: {kind} {', '.join(names)}" for (fate, kind), names in sorted(whole.items())]
    return [*(["\n".join(table)] if detailed else []), *(["\n".join(listed)] if listed else [])]


def _change_of(row: Row) -> str:
    item = row.difference
    outside = " (edited outside)" if row.outside else ""
    old, new = values(item.old, item.new)
    return f"{span(item.path)}: {old} → {new}{outside}"


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
