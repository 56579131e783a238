"""Executes statements. A condition that is unknown leads to both branches, and what they bind is merged."""

from __future__ import annotations

import ast
import contextlib
import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Final

from infra.flow_signature.budget import size
from infra.flow_signature.classes import Classes
from infra.flow_signature.functions import Return
from infra.flow_signature.machine import Frame, Signal
from infra.flow_signature.patterns import Patterns
from infra.flow_signature.prefect_names import FlowError
from infra.flow_signature.unknown import Cause, Undecidable, Unknown

_CHANGEABLE: Final = (list, dict, set, bytearray)


class Break(Signal):
    """A `break` statement."""


class Continue(Signal):
    """A `continue` statement."""


class Statements(Patterns, Classes):
    """Executes statements."""

    _executors: ClassVar[dict[type, Callable[..., None]]] = {}

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._guarded = 0
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
                if self._guarded or self.uncertain or frame.kind == "class":
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
                    if isinstance(value, _CHANGEABLE) or type(value) in self.purity.classes:
                        self.alter(value, unknown)

    def _expr(self, node: ast.Expr, frame: Frame) -> None:
        self.evaluate(node.value, frame)

    def _pass(self, node: ast.Pass, frame: Frame) -> None:
        """Do nothing."""

    _global = _nonlocal = _pass

    def _assign(self, node: ast.Assign, frame: Frame) -> None:
        value = self.evaluate(node.value, frame)
        for target in node.targets:
            self.assign(target, value, frame)

    def assign(self, target: ast.expr, value: Any, frame: Frame) -> None:
        """Bind a target to a value."""
        match target:
            case ast.Name():
                self.store(frame, target.id, value)
            case ast.Starred():
                self.assign(target.value, value, frame)
            case ast.Tuple() | ast.List():
                self._unpack(target.elts, value, frame)
            case ast.Attribute():
                owner = self.evaluate(target.value, frame)
                if not isinstance(owner, Unknown):
                    self.set_attribute(owner, target.attr, value)
            case ast.Subscript():
                self._set_item(self.evaluate(target.value, frame), target, value, frame)

    def _set_item(self, owner: Any, target: ast.Subscript, value: Any, frame: Frame) -> None:
        if isinstance(owner, Unknown):
            return
        index = self.evaluate(target.slice, frame)
        causes = self.causes(index)
        if self.uncertain or causes:
            clause = "may change it when the flow is loaded"
            self.alter(owner, Unknown(*causes) if causes else self.unknown(frame, target, clause))
        if causes:
            return
        if isinstance(owner, dict) and owner is frame.module.object.__dict__:
            self.write(owner, index, value)
        else:
            owner[index] = value

    def _unpack(self, targets: list[ast.expr], value: Any, frame: Frame) -> None:
        if isinstance(value, Unknown):
            for target in targets:
                self.assign(target, value, frame)
            return
        items = list(self.iterate(value))
        stars = [index for index, target in enumerate(targets) if isinstance(target, ast.Starred)]
        extra = len(items) - len(targets)
        if (not stars and extra) or extra < -len(stars):
            raise ValueError("the number of values to unpack differs")
        for star in stars[:1]:
            items[star : star + extra + 1] = [items[star : star + extra + 1]]
        for target, item in zip(targets, items, strict=True):
            self.assign(target, item, frame)

    def _augassign(self, node: ast.AugAssign, frame: Frame) -> None:
        target = node.target
        current = self.evaluate(_as_load(target), frame)
        right = self.evaluate(node.value, frame)
        try:
            if self.uncertain and isinstance(current, _CHANGEABLE):
                self.alter(current, self.unknown(frame, node, "may change it when the flow is loaded"))
            result = self.operate(type(node.op).__name__, current, right)
        except Undecidable as outcome:
            if self.is_exhausted(outcome):
                raise
            result = self.placed(outcome.unknown, frame, node)
            self.alter(current, result)
        self.assign(target, result, frame)

    def _delete(self, node: ast.Delete, frame: Frame) -> None:
        for target in node.targets:
            match target:
                case ast.Name():
                    place = frame.elsewhere.get(target.id)
                    names = frame.module.object.__dict__ if place == "global" else frame.names
                    if target.id not in names:
                        raise NameError(target.id)
                    self.erase(names, target.id)
                case ast.Subscript():
                    owner = self.evaluate(target.value, frame)
                    if self.uncertain or self.causes(owner):
                        self.alter(owner, self.unknown(frame, node, "may change it when the flow is loaded"))
                    if not isinstance(owner, Unknown):
                        del owner[self.evaluate(target.slice, frame)]
                case _:
                    raise Undecidable(self.unknown(frame, node, "deletes an attribute"))

    def _if(self, node: ast.If, frame: Frame) -> None:
        self.choose(self._test(node.test, frame), node.body, node.orelse, frame, node)

    def _test(self, node: ast.expr, frame: Frame) -> bool | Unknown:
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

    def _while(self, node: ast.While, frame: Frame) -> None:
        with self._loop():
            while True:
                self.budget.spend()
                test = self._test(node.test, frame)
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
        if self._test(node.test, frame) is False:
            raise AssertionError

    def _raise(self, node: ast.Raise, frame: Frame) -> None:
        error = self.evaluate(node.exc, frame) if node.exc else RuntimeError("no active exception")
        if isinstance(error, Unknown):
            raise RuntimeError("an unknown exception")
        kind = error if isinstance(error, type) else type(error)
        if not issubclass(kind, Exception):
            raise RuntimeError(kind.__name__)  # such as SystemExit, which must not end the reading
        raise error

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
            self._enter(items[1:], node, frame)
            self.call(manager.__exit__, [None, None, None], {}, frame, node)
            return
        kinds = manager._exceptions if known else ()  # noqa: SLF001  contextlib has no other way to ask
        self.attempt(lambda: self._enter(items[1:], node, frame), [(kinds, None, [])] if known else [], frame, node)

    def attempt(
        self,
        body: Callable[[], None],
        handlers: Sequence[tuple[Any, str | None, Sequence[ast.stmt]]],
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
            self._guarded += 1
            try:
                body()
            finally:
                self._guarded -= 1

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

    def _handler(self, handler: tuple[Any, str | None, Sequence[ast.stmt]], frame: Frame) -> Callable[[], None]:
        def run() -> None:
            _, name, body = handler
            if name:
                self.store(frame, name, Unknown.because("it is an exception"))
            self.block(body, frame)

        return run

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

    def _handle(
        self, error: Exception, handlers: Sequence[tuple[Any, str | None, Sequence[ast.stmt]]], frame: Frame
    ) -> None:
        for kinds, name, body in handlers:
            if isinstance(kinds, Unknown):
                raise Undecidable(kinds)
            if isinstance(error, kinds):
                if name:
                    self.store(frame, name, error)
                self.block(body, frame)
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

    def _match(self, node: ast.Match, frame: Frame) -> None:
        self._cases(self.evaluate(node.subject, frame), list(node.cases), frame, node)

    def _cases(self, subject: Any, cases: list[ast.match_case], frame: Frame, node: ast.Match) -> None:
        if not cases:
            return
        case = cases[0]
        test = self.matches(case.pattern, subject, frame)
        if test is True and case.guard is not None:
            test = self._test(case.guard, frame)
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


def _is_import_error(kinds: Any) -> bool:
    every = kinds if isinstance(kinds, tuple) else (kinds,)
    return all(isinstance(kind, type) and issubclass(kind, ImportError) for kind in every)


def bound_names(node: ast.AST) -> set[str]:
    """Return the names that a statement binds, without those inside functions and classes."""
    names: set[str] = set()
    pending: list[ast.AST] = [node]
    while pending:
        part = pending.pop()
        match part:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(part.name)
                continue
            case ast.Lambda():
                continue
            case ast.Name() if isinstance(part.ctx, ast.Store | ast.Del):
                names.add(part.id)
            case ast.alias() if part.name != "*":
                names.add(part.asname or part.name.partition(".")[0])
            case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar() if part.name:
                names.add(part.name)
            case ast.MatchMapping() if part.rest:
                names.add(part.rest)
        pending += ast.iter_child_nodes(part)
    return names


def _as_load(target: ast.Name | ast.Attribute | ast.Subscript) -> ast.expr:
    match target:
        case ast.Name():
            return ast.copy_location(ast.Name(target.id, ast.Load()), target)
        case ast.Attribute():
            return ast.copy_location(ast.Attribute(target.value, target.attr, ast.Load()), target)
    return ast.copy_location(ast.Subscript(target.value, target.slice, ast.Load()), target)


__all__ = ["Statements", "bound_names", "size", "types"]
