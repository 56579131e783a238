"""Evaluates expressions. What depends on something unknown is Unknown, and nothing is evaluated without a bound."""

from __future__ import annotations

import ast
import enum
import operator
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final

from infra.flow_signature.budget import check_format, check_operation, check_order, check_text, size
from infra.flow_signature.machine import Frame, Machine
from infra.flow_signature.unknown import Undecidable, Unknown

_LONG: Final = 100
_LITERAL: Final = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Load)
_BINARY: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "FloorDiv": operator.floordiv,
    "Mod": operator.mod,
    "Pow": operator.pow,
    "LShift": operator.lshift,
    "RShift": operator.rshift,
    "BitOr": operator.or_,
    "BitXor": operator.xor,
    "BitAnd": operator.and_,
    "MatMult": operator.matmul,
}
_IN_PLACE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "Add": operator.iadd,
    "BitOr": operator.ior,
    "BitAnd": operator.iand,
    "BitXor": operator.ixor,
    "Sub": operator.isub,
    "Mult": operator.imul,
}
_UNARY: Final[dict[str, Callable[[Any], Any]]] = {
    "UAdd": operator.pos,
    "USub": operator.neg,
    "Not": operator.not_,
    "Invert": operator.invert,
}
_COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "Is": operator.is_,
    "IsNot": operator.is_not,
}
_MACHINES: Final = frozenset({("os", "environ"), ("os", "environb"), ("time", "timezone"), ("time", "tzname")})
_SYSTEM: Final = frozenset(["argv", "path", "executable", "prefix", "base_prefix", "exec_prefix", "flags", "orig_argv"])
_OPEN: Final = frozenset({"typing", "typing_extensions", "pydantic", "pydantic_core", "annotated_types", "__future__"})
"""Libraries of which any attribute is usable."""


class Expressions(Machine):
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
        causes = []
        for cause in unknown.causes:
            if not cause.library and cause.text.startswith("it "):
                causes += self.unknown(frame, node, f"makes a value that cannot be read ({cause.text[3:]})").causes
            else:
                causes.append(cause)
        return Unknown(*causes)

    def _constant(self, node: ast.Constant, _: Frame) -> Any:
        return node.value

    def _name(self, node: ast.Name, frame: Frame) -> Any:
        return self.load(frame, node.id)

    def _namedexpr(self, node: ast.NamedExpr, frame: Frame) -> Any:
        value = self.evaluate(node.value, frame)
        target = frame
        while target.kind == "function" and target.title == "<comprehension>" and target.outer is not None:
            target = target.outer
        self.store(target if target.title != "<comprehension>" else frame, node.target.id, value)
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
            value = {"s": str, "r": repr, "a": ascii}[chr(node.conversion)](value)
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
            value = self.operate(type(part.op).__name__, value, self.evaluate(part.right, frame), _BINARY)
        return value

    def operate(
        self, name: str, left: Any, right: Any, table: dict[str, Callable[[Any, Any], Any]] | None = None
    ) -> Any:
        """Return the result of an operator, in place by default."""
        function = (table or _IN_PLACE).get(name) or _BINARY[name]
        if isinstance(left, Unknown) or isinstance(right, Unknown):
            if name == "BitOr" and _is_type(left) and _is_type(right):
                return function(left, right)
            raise Undecidable(Unknown(*self.causes(left), *self.causes(right)))
        if not _is_number(left) or not _is_number(right) or name in ("Mult", "Pow", "LShift"):
            check_operation(name, left, right)
        result = function(left, right)
        if name == "Mod" and isinstance(result, str):
            check_text(result)
        return result

    def _unaryop(self, node: ast.UnaryOp, frame: Frame) -> Any:
        value = self.evaluate(node.operand, frame)
        if isinstance(value, Unknown):
            raise Undecidable(value)
        return _UNARY[type(node.op).__name__](value)

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
            if not isinstance(right, str | bytes | dict | set | frozenset | list | tuple | range | type):
                right = list(self.iterate(right))
            return (left in right) is (name == "In")
        return _COMPARE[name](left, right)

    def _attribute(self, node: ast.Attribute, frame: Frame) -> Any:
        return self.attribute(self.evaluate(node.value, frame), node.attr, frame, node)

    def attribute(self, owner: Any, name: str, frame: Frame, node: ast.AST) -> Any:
        """Return an attribute, which is unknown if it depends on the machine or the moment."""
        if isinstance(owner, types.ModuleType):
            top = owner.__name__.partition(".")[0]
            if (top, name) == ("sys", "modules"):
                return self.loaded_modules()
            if (top, name) in _MACHINES or (top == "sys" and name in _SYSTEM):
                return self.unknown(frame, node, f"reads {top}.{name}, which another machine may have otherwise")
            value = getattr(owner, name)
            if not self.is_read(owner) and top not in _OPEN and not _is_stable(value):
                return self.unknown(frame, node, f"reads {top}.{name}, which only running it would show")
            return self.known(value)
        return self.known(getattr(owner, name))

    def loaded_modules(self) -> Any:
        """Return `sys.modules` as far as it holds modules that are read."""
        raise NotImplementedError

    def is_read(self, module: types.ModuleType) -> bool:
        """Whether a module object stands for a file that is read, or for Prefect."""
        return getattr(module, "__spec__", None) is None

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

    def _listcomp(self, node: ast.ListComp, frame: Frame) -> Any:
        result: list[Any] = []
        self._comprehend(node, frame, lambda inner: result.append(self.evaluate(node.elt, inner)))
        return result

    def _setcomp(self, node: ast.SetComp, frame: Frame) -> Any:
        result: set[Any] = set()
        self._comprehend(node, frame, lambda inner: result.add(self.evaluate(node.elt, inner)))
        return result

    def _generatorexp(self, node: ast.GeneratorExp, frame: Frame) -> Any:
        result: list[Any] = []
        self._comprehend(node, frame, lambda inner: result.append(self.evaluate(node.elt, inner)))
        return iter(result)

    def _dictcomp(self, node: ast.DictComp, frame: Frame) -> Any:
        result: dict[Any, Any] = {}

        def add(inner: Frame) -> None:
            key = self.evaluate(node.key, inner)
            result[key] = self.evaluate(node.value, inner)

        self._comprehend(node, frame, add)
        return result

    def _comprehend(
        self,
        node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp,
        frame: Frame,
        add: Callable[[Frame], None],
    ) -> None:
        outer = frame.outer if frame.kind == "class" else frame if frame.kind == "function" else None
        inner = Frame("function", {}, frame.module, outer, title="<comprehension>")

        def loop(level: int) -> None:
            if level == len(node.generators):
                add(inner)
                return
            generator = node.generators[level]
            items = self.evaluate(generator.iter, inner if level else frame)
            for item in self.iterate(items):
                self.assign(generator.target, item, inner)
                if all(self.truth(self.evaluate(test, inner)) for test in generator.ifs):
                    loop(level + 1)

        self.loops += 1
        try:
            loop(0)
        finally:
            self.loops -= 1

    def assign(self, target: ast.expr, value: Any, frame: Frame) -> None:
        """Bind a target to a value."""
        raise NotImplementedError

    def _await(self, node: ast.Await, frame: Frame) -> Any:
        return self.unknown(frame, node, "waits for something, which only running it would show")

    _yield = _yieldfrom = _await


def _is_number(value: Any) -> bool:
    return type(value) in (int, float, bool)


def _is_type(value: Any) -> bool:
    return value is None or isinstance(value, type | Unknown | str) or type(value).__module__ in ("typing", "types")


def _is_stable(value: Any) -> bool:
    """Whether an attribute of a module of the standard library is the same whenever and wherever it is read."""
    if value is None or callable(value) or isinstance(value, types.ModuleType | enum.Enum):
        return True
    return isinstance(value, bool | int | float | complex | str | bytes | tuple | frozenset)
