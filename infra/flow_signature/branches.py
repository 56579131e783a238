"""Executes `if`, `with` and `try`: both branches where the condition is unknown, and what they bind is merged."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from infra.flow_signature.assignments import Assignments
from infra.flow_signature.machine import Frame, Signal
from infra.flow_signature.unknown import Undecidable, Unknown

Handler = tuple[Any, str | None, Sequence[ast.stmt]]
"""The exceptions of a handler, the name that it gives them, and its statements."""


class Branches(Assignments):
    """Executes statements that choose between blocks."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.guarded = 0

    def _if(self, node: ast.If, frame: Frame) -> None:
        self.choose(self.test(node.test, frame), node.body, node.orelse, frame, node)

    def test(self, node: ast.expr, frame: Frame) -> bool | Unknown:
        """Return whether a condition holds."""
        value = self.evaluate(node, frame)
        try:
            return self.truth(value)
        except Undecidable as outcome:
            return outcome.unknown

    def choose(
        self,
        test: bool | Unknown,
        body: Sequence[ast.stmt],
        otherwise: Sequence[ast.stmt],
        frame: Frame,
        node: ast.AST,
    ) -> None:
        """Execute one of two blocks, or both if the test is unknown."""
        if not isinstance(test, Unknown):
            self.block(body if test else otherwise, frame)
            return
        self.either(lambda: self.block(body, frame), lambda: self.block(otherwise, frame), frame, node, test)

    def either(
        self, one: Callable[[], None], other: Callable[[], None], frame: Frame, node: ast.AST, test: Unknown
    ) -> None:
        """Execute two branches of which one runs when the module is loaded."""
        if frame.kind == "function" and any(isinstance(part, ast.Return | ast.Raise) for part in ast.walk(node)):
            raise Undecidable(test)
        decides = self.unknown(frame, node, "decides it when the flow is loaded")
        self.fork([one, other], Unknown(*decides.causes, *test.causes[:1]))

    def _with(self, node: ast.With, frame: Frame) -> None:
        self._enter(list(node.items), node, frame)

    def _enter(self, items: list[ast.withitem], node: ast.With, frame: Frame) -> None:
        if not items:
            self.block(node.body, frame)
            return
        manager = self.evaluate(items[0].context_expr, frame)
        known = not isinstance(manager, Unknown) and self.purity.permits(type(manager))
        entered = self.call(manager.__enter__, [], {}, frame, node) if known else Unknown(*self.causes(manager))
        if items[0].optional_vars is not None:
            self.assign(items[0].optional_vars, entered, frame)
        if known and not isinstance(manager, contextlib.suppress):
            self._leave(manager, lambda: self._enter(items[1:], node, frame), frame, node)
            return
        kinds = manager._exceptions if known else ()  # noqa: SLF001  contextlib has no other way to ask
        self.attempt(lambda: self._enter(items[1:], node, frame), [(kinds, None, [])] if known else [], frame, node)

    def _leave(self, manager: Any, body: Callable[[], None], frame: Frame, node: ast.With) -> None:
        """Execute the body of a context manager, which may suppress an exception if the project defines it."""
        own = type(manager) in self.purity.classes
        self.guarded += own
        try:
            body()
        except Exception as error:
            if not own or isinstance(error, Undecidable):
                raise
            if not self.truth(self.call(manager.__exit__, [type(error), error, None], {}, frame, node)):
                raise
            return
        finally:
            self.guarded -= own
        self.call(manager.__exit__, [None, None, None], {}, frame, node)

    def attempt(
        self,
        body: Callable[[], None],
        handlers: Sequence[Handler],
        frame: Frame,
        node: ast.AST,
    ) -> bool:
        """Execute a body with handlers; return whether it ended without an exception.

        If something in it may raise, the first handlers are executed beside it.
        """
        risks, import_risks = self.risks, self.import_risks
        if not handlers:
            body()
            return True
        journal_failed: list[Exception] = []

        def guarded() -> None:
            self.guarded += 1
            try:
                body()
            finally:
                self.guarded -= 1

        before = self._snapshot(frame)
        try:
            guarded()
        except (Undecidable, Signal):
            raise
        except Exception as error:  # noqa: BLE001  the project's own source may raise anything
            journal_failed.append(error)
            self._handle(error, handlers, frame)
            return False
        only_imports = all(_is_import_error(kinds) for kinds, _, _ in handlers)
        if self.import_risks > import_risks or (self.risks > risks and not only_imports):
            after = self._snapshot(frame)
            self._replace(frame, before)
            branches: list[Callable[[], None]] = [lambda: self._replace(frame, after)]
            branches += [self._handler(kinds_name, frame) for kinds_name in handlers]
            self.either_of(branches, frame, node)
        return True

    def _handler(self, handler: Handler, frame: Frame) -> Callable[[], None]:
        def run() -> None:
            _, name, body = handler
            self._except(name, Unknown.because("it is an exception"), body, frame)

        return run

    def _except(self, name: str | None, error: Any, body: Sequence[ast.stmt], frame: Frame) -> None:
        """Execute a handler, and forget the name of its exception as Python does."""
        if name:
            self.store(frame, name, error)
        self.block(body, frame)
        if name and name in self.own_names(frame, name):
            self.erase(self.own_names(frame, name), name)

    def either_of(self, branches: list[Callable[[], None]], frame: Frame, node: ast.AST) -> None:
        """Execute branches of which one runs when the module is loaded."""
        if frame.kind == "function" and any(isinstance(part, ast.Return) for part in ast.walk(node)):
            raise Undecidable(self.unknown(frame, node, "decides it when the flow is loaded"))
        self.fork(branches, self.unknown(frame, node, "decides it when the flow is loaded"))

    def _snapshot(self, frame: Frame) -> dict[str, Any]:
        return dict(frame.names)

    def _replace(self, frame: Frame, names: dict[str, Any]) -> None:
        for name in [*frame.names]:
            if name not in names:
                self.erase(frame.names, name)
        for name, value in names.items():
            if name not in frame.names or frame.names[name] is not value:
                self.write(frame.names, name, value)

    def _handle(self, error: Exception, handlers: Sequence[Handler], frame: Frame) -> None:
        for kinds, name, body in handlers:
            if isinstance(kinds, Unknown):
                raise Undecidable(kinds)
            if isinstance(error, kinds):
                self._except(name, error, body, frame)
                return
        raise error

    def _try(self, node: ast.Try, frame: Frame) -> None:
        handlers = []
        for handler in node.handlers:
            kinds = self.evaluate(handler.type, frame) if handler.type else Exception
            kinds = Unknown(*self.causes(kinds)) if self.causes(kinds) else kinds
            handlers.append((kinds, handler.name, handler.body))
        try:
            if self.attempt(lambda: self.block(node.body, frame), handlers, frame, node):
                self.block(node.orelse, frame)
        finally:
            self.block(node.finalbody, frame)

    _trystar = _try


def _is_import_error(kinds: Any) -> bool:
    every = kinds if isinstance(kinds, tuple) else (kinds,)
    return all(isinstance(kind, type) and issubclass(kind, ImportError) for kind in every)
