"""Evaluates expressions. What depends on something unknown is Unknown, and nothing is evaluated without a bound."""

from __future__ import annotations

import ast
import typing
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final

from infra.flow_signature.attributes import LOADER, Attributes
from infra.flow_signature.budget import check_format, check_order, check_text, size
from infra.flow_signature.machine import Frame
from infra.flow_signature.operations import COMPARE, UNARY, operate
from infra.flow_signature.unknown import Undecidable, Unknown

_LONG: Final = 100
_LITERAL: Final = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Load)


class Expressions(Attributes):
    """Evaluates expressions."""

    _methods: ClassVar[dict[type, Callable[..., Any]]] = {}

    def evaluate(self, node: ast.expr, frame: Frame) -> Any:
        """Return the value of an expression, which may be Unknown."""
        method = self._methods.get(type(node))
        if method is None:
            method = getattr(type(self), f"_{type(node).__name__.lower()}", None)
            if method is None:
                return self.unknown(frame, node, "uses syntax that is not read")
            self._methods[type(node)] = method
        self.budget.spend()
        self.budget.enter()
        try:
            return method(self, node, frame)
        except Undecidable as outcome:
            if not outcome.unknown.causes or self.is_exhausted(outcome):
                raise
            return self.placed(outcome.unknown, frame, node)
        finally:
            self.budget.depth -= 1

    def is_exhausted(self, outcome: Undecidable) -> bool:
        """Whether no step of the statement is left, so that it ends as a whole."""
        return type(outcome) is not Undecidable

    def placed(self, unknown: Unknown, frame: Frame, node: ast.AST) -> Unknown:
        """Return an unknown value whose causes that say `it` name file and line instead."""
        causes: list[Any] = []
        for cause in unknown.causes:
            if not cause.library and cause.text.startswith("it "):
                causes += self.unknown(frame, node, f"makes a value that cannot be read ({cause.text[3:]})").causes
            else:
                causes.append(cause)
        return Unknown(*causes)

    def _constant(self, node: ast.Constant, _: Frame) -> Any:
        return node.value

    def _name(self, node: ast.Name, frame: Frame) -> Any:
        value = self.load(frame, node.id)
        if value is None and node.id in LOADER:
            return self.unknown(frame, node, f"reads {node.id}, which only running it would show")
        return value

    def _namedexpr(self, node: ast.NamedExpr, frame: Frame) -> Any:
        value = self.evaluate(node.value, frame)
        target = frame
        while target.home is not None:
            target = target.home
        self.store(target, node.target.id, value)
        return value

    def _list(self, node: ast.List, frame: Frame) -> Any:
        if self._is_literal(node):
            return ast.literal_eval(node)
        return list(self._items(node.elts, frame))

    def _tuple(self, node: ast.Tuple, frame: Frame) -> Any:
        return tuple(self._items(node.elts, frame))

    def _set(self, node: ast.Set, frame: Frame) -> Any:
        return set(self._items(node.elts, frame))

    def _items(self, nodes: list[ast.expr], frame: Frame) -> Iterator[Any]:
        for node in nodes:
            if isinstance(node, ast.Starred):
                yield from self.iterate(self.evaluate(node.value, frame))
            else:
                yield self.evaluate(node, frame)

    def _is_literal(self, node: ast.expr) -> bool:
        """Whether a long list or dictionary has constants only, which are read at once."""
        parts = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", [])
        if len(parts) < _LONG:
            return False
        count = 0
        for part in ast.walk(node):
            count += 1
            if not isinstance(part, _LITERAL):
                return False
        self.budget.spend(count // 100)
        return True

    def _dict(self, node: ast.Dict, frame: Frame) -> Any:
        if self._is_literal(node):
            return ast.literal_eval(node)
        result: dict[Any, Any] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            value = self.evaluate(item, frame)
            if key is not None:
                result[self.evaluate(key, frame)] = value
                continue
            if isinstance(value, Unknown):
                raise Undecidable(value)
            self.budget.spend(size(value))
            result.update(value)
        return result

    def _joinedstr(self, node: ast.JoinedStr, frame: Frame) -> Any:
        parts = [self.evaluate(value, frame) for value in node.values]
        text = "".join(parts) if all(isinstance(part, str) for part in parts) else None
        if text is None:
            raise Undecidable(Unknown(*(cause for part in parts for cause in self.causes(part))))
        check_text(text)
        return text

    def _formattedvalue(self, node: ast.FormattedValue, frame: Frame) -> Any:
        value = self._decided(node.value, frame)
        self.budget.spend(size(value))
        specification = self._decided(node.format_spec, frame) if node.format_spec else ""
        check_format(f":{specification}")
        if node.conversion != -1:
            conversions: dict[str, Callable[[Any], str]] = {"s": str, "r": repr, "a": ascii}
            value = conversions[chr(node.conversion)](value)
        check_order(value)
        return format(value, specification)

    def _decided(self, node: ast.expr, frame: Frame) -> Any:
        """Return a value that is known in all its parts."""
        value = self.evaluate(node, frame)
        if causes := self.causes(value):
            raise Undecidable(Unknown(*causes))
        return value

    def _binop(self, node: ast.BinOp, frame: Frame) -> Any:
        # A long chain such as "a" "b" + "c" + ... nests on its left side.
        chain: list[ast.BinOp] = [node]
        while isinstance(chain[-1].left, ast.BinOp):
            chain.append(chain[-1].left)
        value = self.evaluate(chain[-1].left, frame)
        for part in reversed(chain):
            self.budget.spend()
            value = operate(type(part.op).__name__, value, self.evaluate(part.right, frame))
        return value

    def _unaryop(self, node: ast.UnaryOp, frame: Frame) -> Any:
        value = self.evaluate(node.operand, frame)
        if isinstance(value, Unknown):
            raise Undecidable(value)
        return UNARY[type(node.op).__name__](value)

    def _boolop(self, node: ast.BoolOp, frame: Frame) -> Any:
        stop = isinstance(node.op, ast.Or)
        value: Any = None
        for part in node.values:
            value = self.evaluate(part, frame)
            if self.truth(value) is stop:
                break
        return value

    def truth(self, value: Any) -> bool:
        """Return whether a value counts as true.

        Raises:
            Undecidable: the value is unknown.

        """
        value = self.known(value)
        if isinstance(value, Unknown):
            raise Undecidable(value)
        return bool(value)

    def _ifexp(self, node: ast.IfExp, frame: Frame) -> Any:
        return self.evaluate(node.body if self.truth(self.evaluate(node.test, frame)) else node.orelse, frame)

    def _compare(self, node: ast.Compare, frame: Frame) -> Any:
        left = self.evaluate(node.left, frame)
        result: Any = True
        for sign, part in zip(node.ops, node.comparators, strict=True):
            right = self.evaluate(part, frame)
            result = self._compared(type(sign).__name__, left, right)
            if not self.truth(result):
                break
            left = right
        return result

    def _compared(self, name: str, left: Any, right: Any) -> Any:
        for value in (left, right):
            if isinstance(value, Unknown):
                raise Undecidable(value)
            if not isinstance(value, range):
                self.budget.spend(size(value))
        if name in ("In", "NotIn"):
            if not hasattr(type(right), "__contains__"):
                right = list(self.iterate(right))
            return (left in right) is (name == "In")
        return COMPARE[name](left, right)

    def _attribute(self, node: ast.Attribute, frame: Frame) -> Any:
        return self.attribute(self.evaluate(node.value, frame), node.attr, frame, node)

    def _subscript(self, node: ast.Subscript, frame: Frame) -> Any:
        owner, index = self.evaluate(node.value, frame), self.evaluate(node.slice, frame)
        if isinstance(owner, Unknown):
            return owner
        container = isinstance(owner, dict | list | tuple | str | bytes | range)
        if (container or owner is typing.Literal) and (causes := self.causes(index)):
            raise Undecidable(Unknown(*causes))
        return self.known(owner[index])

    def _slice(self, node: ast.Slice, frame: Frame) -> Any:
        return slice(*(self._decided(part, frame) if part else None for part in (node.lower, node.upper, node.step)))

    def _await(self, node: ast.Await, frame: Frame) -> Any:
        return self.unknown(frame, node, "waits for something, which only running it would show")

    _yield = _yieldfrom = _await
