"""Have groups of programs ready, building what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.progress import step
from tools.toolchain import go
from tools.toolchain.group import Group
from tools.toolchain.modules import GROUPS, select
from tools.toolchain.precondition import problems, wants_go
from tools.toolchain.recipe import make
from tools.toolchain.store import Store


def ensure(names: Iterable[str], *, cache: Path | None = None, groups: Mapping[str, Group] = GROUPS) -> dict[str, Path]:
    """Name of each group -> the `bin` folder with its programs, built first where it is not there yet.

    Safe to call from several processes at once: one builds, the others wait for it.

    Args:
        names: names in `modules.GROUPS`.
        cache: where to keep them; the project's cache folder when left out.
        groups: the table to choose from.

    Raises:
        Problem: a name is unknown, a precondition is missing (before anything is built), or a build failed.

    """
    store = Store.under(cache)
    wanted = select(names, groups)
    compiler = go.find()
    ready = {group.name: store.ready(group, compiler) for group in wanted}
    missing = [group for group in wanted if ready[group.name] is None]
    if missing:
        if compiler is None:
            raise wants_go(missing, compiler)
        if found := problems(missing, compiler, store):
            raise found[0]
        for number, group in enumerate(missing, start=1):
            with step(f"building {group} ({number} of {len(missing)})"):
                ready[group.name] = make(group, compiler, store)
    return {name: folder / "bin" for name, folder in ready.items() if folder is not None}
