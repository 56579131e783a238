"""Operators on values that are known, with results that are small."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from infra.flow_signature.budget import check_operation, check_text
from infra.flow_signature.unknown import Undecidable, Unknown

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
UNARY: Final[dict[str, Callable[[Any], Any]]] = {
    "UAdd": operator.pos,
    "USub": operator.neg,
    "Not": operator.not_,
    "Invert": operator.invert,
}
COMPARE: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "Lt": operator.lt,
    "LtE": operator.le,
    "Gt": operator.gt,
    "GtE": operator.ge,
    "Is": operator.is_,
    "IsNot": operator.is_not,
}


def operate(name: str, left: Any, right: Any, *, in_place: bool = False) -> Any:
    """Return the result of an operator.

    Args:
        name: of its node in the syntax tree, such as `Add`.
        left: the first operand.
        right: the second operand.
        in_place: whether it changes the first operand, as `+=` changes a list.

    Raises:
        Undecidable: an operand is unknown, or the result would be too large.

    """
    function = (_IN_PLACE.get(name) if in_place else None) or _BINARY[name]
    if isinstance(left, Unknown) or isinstance(right, Unknown):
        if name == "BitOr" and _is_type(left) and _is_type(right):
            return function(left, right)
        causes = [cause for side in (left, right) if isinstance(side, Unknown) for cause in side.causes]
        raise Undecidable(Unknown(*causes))
    if not _is_number(left) or not _is_number(right) or name in ("Mult", "Pow", "LShift"):
        check_operation(name, left, right)
    result = function(left, right)
    if name == "Mod" and isinstance(result, str):
        check_text(result)
    return result


def _is_number(value: Any) -> bool:
    return type(value) in (int, float, bool)


def _is_type(value: Any) -> bool:
    return value is None or isinstance(value, type | Unknown | str) or type(value).__module__ in ("typing", "types")
