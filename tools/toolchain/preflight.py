"""What would keep programs from being built, for a person to mend before anything starts."""

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
    """Return everything that would keep `ensure` from starting; empty when it can.

    Quick, and nothing is changed. Pulumi and its plugins count as there when the person has a Pulumi of
    their own. Whether the module proxy can be reached only a build finds out.
    """
    store = Store.under(cache)
    try:
        wanted = select(names, groups)
        compiler = go.find()
        missing = [group for group in wanted if store.ready(group, compiler) is None]
        if any(group.name in PULUMI for group in missing) and pulumi.own(store) is not None:
            missing = [group for group in missing if group.name not in PULUMI]
        return problems(missing, compiler, store)
    except Problem as found:
        return [found]
