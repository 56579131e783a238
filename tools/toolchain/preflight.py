"""The check before a build: everything that prevents it, reported before anything starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.errors import Problem
from tools.toolchain import go, pulumi
from tools.toolchain.group import Group
from tools.toolchain.modules import GROUPS, PULUMI, select
from tools.toolchain.precondition import problems
from tools.toolchain.store import Store


def preflight(
    names: Iterable[str], *, cache: Path | None = None, groups: Mapping[str, Group] = GROUPS
) -> list[Problem]:
    """Return everything that prevents `ensure` from starting; an empty list when it can start.

    The check is quick and changes nothing. Pulumi and its plugins are not built when the user has installed Pulumi.
    Whether the module proxy can be reached is not checked.
    """
    store = Store.in_cache(cache)
    try:
        selection = select(names, groups)
        compiler = go.find()
        missing = [group for group in selection if store.ready(group, compiler) is None]
        if any(group.name in PULUMI for group in missing) and pulumi.find_installed(store, cache) is not None:
            missing = [group for group in missing if group.name not in PULUMI]
        return problems(missing, compiler, store)
    except Problem as problem:
        return [problem]
