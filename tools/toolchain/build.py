"""Building the groups of programs that are missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.progress import step
from tools.toolchain import go
from tools.toolchain.group import Group
from tools.toolchain.modules import GROUPS, select
from tools.toolchain.precondition import go_problem, problems
from tools.toolchain.recipe import build
from tools.toolchain.store import Store


def ensure(names: Iterable[str], *, cache: Path | None = None, groups: Mapping[str, Group] = GROUPS) -> dict[str, Path]:
    """Return the `bin` folder of each named group, building the groups that are missing.

    Several processes may call it at once: one builds, the others wait for it.

    Args:
        names: names in `modules.GROUPS`.
        cache: the cache folder; the project's by default.
        groups: the table of groups.

    Raises:
        Problem: a name is unknown, a precondition is not met (before anything is built), or a build failed.

    """
    store = Store.in_cache(cache)
    selection = select(names, groups)
    compiler = go.find()
    ready = {group.name: store.ready(group, compiler) for group in selection}
    missing = [group for group in selection if ready[group.name] is None]
    if missing:
        if compiler is None:
            raise go_problem(missing, compiler)
        if unmet := problems(missing, compiler, store):
            raise unmet[0]
        for number, group in enumerate(missing, start=1):
            with step(f"building {group} ({number} of {len(missing)})"):
                ready[group.name] = build(group, compiler, store)
    return {name: folder / "bin" for name, folder in ready.items() if folder is not None}
