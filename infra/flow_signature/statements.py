"""Executes statements. A condition that is unknown leads to both branches, and what they bind is merged."""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

from infra.flow_signature.assignments import CHANGEABLE
from infra.flow_signature.branches import Branches
from infra.flow_signature.functions import Return
from infra.flow_signature.machine import Frame, Signal
from infra.flow_signature.names import bound_names
from infra.flow_signature.patterns import Patterns
from infra.flow_signature.prefect_names import FlowError
from infra.flow_signature.unknown import Cause, Undecidable, Unknown


class Break(Signal):
    """A `break` statement."""


class Continue(Signal):
    """A `continue` statement."""


class Statements(Patterns, Branches):
    """Executes statements."""

    _executors: ClassVar[dict[type, Callable[..., None]]] = {}

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._stopped: list[ast.stmt] = []

    def execute(self, node: ast.stmt, frame: Frame) -> None:
        """Execute a statement."""
        method = self._executors.get(type(node))
        if method is None:
            method = getattr(type(self), f"_{type(node).__name__.lower()}", None)
            if method is None:
                raise Undecidable(self.unknown(frame, node, "uses syntax that is not read"))
            self._executors[type(node)] = method
        self.budget.spend()
        method(self, node, frame)

    def block(self, body: Sequence[ast.stmt], frame: Frame) -> None:
        """Execute statements.

        Outside functions, a statement that is unknown leaves its names unknown, and the next one is executed.
        """
        for node in body:
            if frame.kind == "function":
                self.execute(node, frame)
                continue
            if not self.loops and frame.kind == "module":
                self.budget.renew()
            try:
                self.execute(node, frame)
            except Undecidable as outcome:
                if self.loops and self.is_exhausted(outcome):
                    raise
                self.risks += 1
                self.lose(node, frame, self.placed(outcome.unknown, frame, node))
            except Exception as error:
                if self.guarded or self.uncertain or frame.kind == "class":
                    raise
                self.lose(node, frame, self._failed(error, node, frame))

    def _failed(self, error: Exception, node: ast.stmt, frame: Frame) -> Unknown:
        if isinstance(error, FlowError):
            return Unknown(Cause(f"{self.where(frame, node)}: {error}", refused=True))
        text = " ".join(str(error).split())[:80] if not isinstance(error, RecursionError) else ""
        return self.unknown(frame, node, f"raises {type(error).__name__}{f' ({text})' if text else ''}")

    def lose(self, node: ast.stmt, frame: Frame, unknown: Unknown) -> None:
        """Make what a statement binds or changes unknown."""
        for name in bound_names(node):
            self.store(frame, name, unknown)
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load):
                with contextlib.suppress(NameError):
                    value = self.load(frame, part.id)
                    if isinstance(value, CHANGEABLE) or type(value) in self.purity.classes:
                        self.alter(value, unknown)

    def _expr(self, node: ast.Expr, frame: Frame) -> None:
        self.evaluate(node.value, frame)

    def _pass(self, node: ast.Pass, frame: Frame) -> None:
        """Do nothing."""

    _global = _nonlocal = _pass

    def _while(self, node: ast.While, frame: Frame) -> None:
        with self._loop():
            while True:
                self.budget.spend()
                test = self.test(node.test, frame)
                if isinstance(test, Unknown):
                    raise Undecidable(test)
                if not test:
                    self.block(node.orelse, frame)
                    return
                try:
                    self.block(node.body, frame)
                except Break:
                    return
                except Continue:
                    continue

    def _for(self, node: ast.For, frame: Frame) -> None:
        items = self.evaluate(node.iter, frame)
        if isinstance(items, Unknown):
            self._once(node, items, frame)
            return
        with self._loop():
            for item in self.iterate(items):
                self.assign(node.target, item, frame)
                try:
                    self.block(node.body, frame)
                except Break:
                    return
                except Continue:
                    continue
            self.block(node.orelse, frame)

    def _once(self, node: ast.For, items: Unknown, frame: Frame) -> None:
        """Execute the body of a loop over something unknown, for the functions and classes in it."""

        def body() -> None:
            self.assign(node.target, items, frame)
            self.block(node.body, frame)

        with self._loop():
            self.either(body, lambda: None, frame, node, items)
        for name in bound_names(node):
            value = frame.names.get(name)
            if not callable(value) and not isinstance(value, Unknown):
                self.store(frame, name, items)

    @contextlib.contextmanager
    def _loop(self) -> Iterator[None]:
        self.loops += 1
        try:
            yield
        finally:
            self.loops -= 1

    def _break(self, _: ast.Break, __: Frame) -> None:
        raise Break

    def _continue(self, _: ast.Continue, __: Frame) -> None:
        raise Continue

    def _return(self, node: ast.Return, frame: Frame) -> None:
        raise Return(self.evaluate(node.value, frame) if node.value else None)

    def _assert(self, node: ast.Assert, frame: Frame) -> None:
        if self.test(node.test, frame) is False:
            raise AssertionError(*([self.evaluate(node.msg, frame)] if node.msg else []))

    def _raise(self, node: ast.Raise, frame: Frame) -> None:
        # A handler of the source runs inside one of this program.
        again = sys.exc_info()[1] or RuntimeError("No active exception to reraise")
        error = self.evaluate(node.exc, frame) if node.exc else again
        if isinstance(error, Unknown):
            raise RuntimeError("an unknown exception")  # noqa: TRY004  what the source raises
        kind = error if isinstance(error, type) else type(error)
        if not issubclass(kind, Exception):
            raise RuntimeError(kind.__name__)  # noqa: TRY004  such as SystemExit, which must not end the reading
        cause = self.evaluate(node.cause, frame) if node.cause else None
        if node.cause is not None and not isinstance(cause, Unknown):
            raise error from cause
        raise error

    def _match(self, node: ast.Match, frame: Frame) -> None:
        self._cases(self.evaluate(node.subject, frame), list(node.cases), frame, node)

    def _cases(self, subject: Any, cases: list[ast.match_case], frame: Frame, node: ast.Match) -> None:
        if not cases:
            return
        case = cases[0]
        test = self.matches(case.pattern, subject, frame)
        if test is True and case.guard is not None:
            test = self.test(case.guard, frame)
        if not isinstance(test, Unknown):
            if test:
                self.block(case.body, frame)
            else:
                self._cases(subject, cases[1:], frame, node)
            return
        self.either(
            lambda: self.block(case.body, frame),
            lambda: self._cases(subject, cases[1:], frame, node),
            frame,
            node,
            test,
        )
