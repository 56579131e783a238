"""The state of a reading: names, what is uncertain about them, and the bounds.

A reading evaluates the statements of a module as Python would, but calls only what is known to be pure (`purity.py`).
Everything else is Unknown, and so is what depends on it.
"""

from __future__ import annotations

import ast
import builtins
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from infra.flow_signature.budget import Budget, check_order, members, too_large
from infra.flow_signature.files import relative
from infra.flow_signature.prefect_names import only_flow
from infra.flow_signature.unknown import Cause, Undecidable, Unknown

_MISSING: Final = object()
_PLAIN: Final = (type(None), bool, int, float, str, bytes, tuple, frozenset)


@dataclass
class Module:
    """A module of the project while it is read.

    Attributes:
        name: dotted.
        path: its file.
        folders: where its submodules are; empty if it is not a package.
        object: the module object, whose attributes are its names.
        postponed: whether it has `from __future__ import annotations`.
        stars: libraries that it imports all names of.

    """

    name: str
    path: Path
    folders: tuple[Path, ...]
    object: types.ModuleType
    postponed: bool = False
    stars: list[str] = field(default_factory=list)


@dataclass
class Frame:
    """The names that a block of code reads and writes.

    Attributes:
        kind: of block.
        names: of the block itself.
        module: in which it is.
        outer: the function around it, if any.
        elsewhere: name -> `global` or `nonlocal`, where the block declares it.
        owner: the class of a method, as a list that is filled once the class exists.
        title: of the class, whose private names Python changes; the qualified name of a function.
        first: the first argument of a function, for `super()`.
        home: the block that a comprehension is in.

    """

    kind: Literal["module", "class", "function"]
    names: MutableMapping[str, Any]
    module: Module
    outer: Frame | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    owner: list[type] = field(default_factory=list)
    title: str = ""
    first: Any = None
    home: Frame | None = None


class Signal(BaseException):
    """`break`, `continue` or `return` on its way to the loop or function."""


class Machine(ABC):
    """State and basic operations of a reading."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.budget = Budget()
        self.risks = 0
        self.import_risks = 0
        self.loops = 0
        self._altered: dict[int, tuple[Any, Unknown]] = {}
        self._journals: list[list[tuple[MutableMapping[str, Any], str, Any]]] = []
        self._lines: list[tuple[Module, int]] = []

    @abstractmethod
    def evaluate(self, node: ast.expr, frame: Frame) -> Any:
        """Return the value of an expression, which may be Unknown."""

    @abstractmethod
    def execute(self, node: ast.stmt, frame: Frame) -> None:
        """Execute a statement."""

    @abstractmethod
    def block(self, body: Sequence[ast.stmt], frame: Frame) -> None:
        """Execute statements."""

    @abstractmethod
    def call(
        self, function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any], frame: Frame, node: ast.AST
    ) -> Any:
        """Return the result of a call, which may be Unknown."""

    @property
    def uncertain(self) -> bool:
        """Whether the block that is executed may be skipped when the module is loaded."""
        return bool(self._journals)

    def where(self, frame: Frame, node: ast.AST) -> str:
        """Return file and line, as messages show them."""
        line = getattr(node, "lineno", None)
        file = relative(frame.module.path, self.root)
        return f"line {line} of {file}" if line else file

    def unknown(self, frame: Frame, node: ast.AST, clause: str) -> Unknown:
        """Return an unknown value because of a clause after file and line."""
        return Unknown.because(f"{self.where(frame, node)} {clause}")

    def known(self, value: Any) -> Any:
        """Return a value, or Unknown if something unknown has changed it."""
        entry = self._altered.get(id(value))
        return value if entry is None else entry[1]

    def alter(self, value: Any, unknown: Unknown) -> None:
        """Mark a value that can change as changed by something unknown."""
        if not isinstance(value, (*_PLAIN, Unknown, types.FunctionType, types.BuiltinFunctionType, range)):
            self._altered.setdefault(id(value), (value, unknown))

    def causes(self, value: Any) -> tuple[Cause, ...]:
        """Return why a value, or something in it, is unknown; nothing if all of it is known."""
        causes: dict[Cause, None] = {}
        pending, visited = [value], set[int]()
        while pending:
            item = self.known(pending.pop())
            if isinstance(item, Unknown):
                causes.update(dict.fromkeys(item.causes or (Cause("it is unknown"),)))
            elif id(item) not in visited:
                visited.add(id(item))
                inside = members(item)
                self.budget.spend(len(inside))
                pending.extend(inside)
        return tuple(causes)

    def load(self, frame: Frame, name: str) -> Any:
        """Return the value of a name.

        Raises:
            NameError: it is not bound.

        """
        for names in self._scopes(frame, name):
            value = names.get(name, _MISSING)
            if value is not _MISSING:
                return self.known(value)
        if hasattr(builtins, name):
            return getattr(builtins, name)
        if frame.module.stars:
            return Unknown(*(Cause(library, library=True) for library in frame.module.stars))
        raise NameError(f"name '{name}' is not defined", name=name)

    def _scopes(self, frame: Frame, name: str) -> Iterator[Mapping[str, Any]]:
        place = frame.elsewhere.get(name)
        if place is None:
            yield frame.names
        outer = frame.outer
        while outer is not None and place != "global":
            yield outer.names
            outer = outer.outer
        yield frame.module.object.__dict__

    def store(self, frame: Frame, name: str, value: Any) -> None:
        """Bind a name."""
        place = frame.elsewhere.get(name)
        if place == "global":
            self.write(frame.module.object.__dict__, name, value)
            return
        if place == "nonlocal":
            outer = frame.outer
            while outer is not None and name not in outer.names:
                outer = outer.outer
            if outer is not None:
                self.write(outer.names, name, value)
            return
        if frame.kind == "class" and name.startswith("__") and not name.endswith("__"):
            name = f"_{frame.title.lstrip('_')}{name}"
        self.write(frame.names, name, value)

    def write(self, names: MutableMapping[str, Any], name: str, value: Any) -> None:
        """Bind a name in a mapping, so that a branch can be taken back."""
        for journal in self._journals[-1:]:
            journal.append((names, name, names.get(name, _MISSING)))
        names[name] = value

    def erase(self, names: MutableMapping[str, Any], name: str) -> None:
        """Remove a name from a mapping, so that a branch can be taken back."""
        for journal in self._journals[-1:]:
            journal.append((names, name, names.get(name, _MISSING)))
        del names[name]

    def fork(self, branches: Sequence[Callable[[], None]], unknown: Unknown) -> None:
        """Execute branches of which one runs when the module is loaded, and merge what they bind.

        A branch that raises would stop the module from loading, so it is not the one. What only one branch binds is
        what it binds there, because the module needs it; what only one of them makes a flow is that flow, because
        Prefect refuses a deployment of anything else.

        Args:
            branches: each executes its statements.
            unknown: what a name becomes that the branches bind to different values.

        """
        outcomes, failures = [], []
        for branch in branches:
            journal: list[tuple[MutableMapping[str, Any], str, Any]] = []
            self._journals.append(journal)
            try:
                branch()
            except Undecidable:
                raise
            except Signal:
                raise Undecidable(unknown) from None
            except Exception as error:  # noqa: BLE001  the project's own source may raise anything
                failures.append(error)
                continue
            finally:
                self._journals.pop()
                after = {(id(names), name): (names, name, names.get(name, _MISSING)) for names, name, _ in journal}
                for names, name, before in reversed(journal):
                    _restore(names, name, before)
            outcomes.append(after)
        if not outcomes:
            raise failures[0]
        self._merge(outcomes, unknown)

    def _merge(
        self, outcomes: list[dict[tuple[int, str], tuple[MutableMapping[str, Any], str, Any]]], unknown: Unknown
    ) -> None:
        for key, (names, name, _) in {key: row for outcome in outcomes for key, row in outcome.items()}.items():
            before = names.get(name, _MISSING)
            values = [outcome[key][2] if key in outcome else before for outcome in outcomes]
            if before is _MISSING:
                values = [value for value in values if value is not _MISSING] or [_MISSING]
            if all(_same(value, values[0]) for value in values):
                merged = values[0]
            elif (flow := only_flow(values)) is not None:
                merged = flow
            else:
                causes = [cause for value in values if isinstance(value, Unknown) for cause in value.causes]
                merged = Unknown(*unknown.causes, *causes)
            for journal in self._journals[-1:]:
                journal.append((names, name, before))
            _restore(names, name, merged)

    def iterate(self, value: Any) -> Iterator[Any]:
        """Yield the items of an iterable, each of which counts as a step.

        Raises:
            Undecidable: the iterable is unknown or too large.

        """
        value = self.known(value)
        if isinstance(value, Unknown):
            raise Undecidable(value)
        if isinstance(value, range) and not _short(value):
            raise too_large()
        check_order(value)
        for item in value:
            self.budget.spend()
            yield self.known(item)


def _restore(names: MutableMapping[str, Any], name: str, value: Any) -> None:
    if value is _MISSING:
        names.pop(name, None)
    else:
        names[name] = value


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    return type(one) is type(other) and isinstance(one, (type(None), bool, int, float, str, bytes)) and one == other


def _short(value: range) -> bool:
    try:
        return len(value) <= 1_000_000
    except OverflowError:
        return False
