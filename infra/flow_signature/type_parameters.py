"""Rewrites the type parameters and aliases of Python 3.12 as assignments, which every version has.

`def f[T: int](x: T)` becomes `_T_1 = TypeVar("T", bound=int)` before the statement of the module that it is in, and
`def f(x: _T_1)`; a generic class gets `Generic[_T_1]` as a base; `type X = int` becomes `X = TypeAliasType("X", int)`.
Python evaluates bounds, defaults and aliases later, so one that names something below it is unknown.
"""

from __future__ import annotations

import ast
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import typing_extensions

_KINDS: Final[Mapping[str, Any]] = {
    "TypeVar": typing_extensions.TypeVar,
    "ParamSpec": typing_extensions.ParamSpec,
    "TypeVarTuple": typing_extensions.TypeVarTuple,
}


def rewritten(tree: ast.Module) -> ast.Module:
    """Return a tree without type parameters and `type` statements, which the given one becomes."""
    rewriter = _Rewriter()
    body: list[ast.stmt] = []
    for statement in tree.body:
        after = rewriter.visit(statement)
        body += [*rewriter.taken(), after]
    tree.body = body
    return ast.fix_missing_locations(tree)


class _Rewriter(ast.NodeTransformer):
    def __init__(self) -> None:
        self._made: list[ast.stmt] = []
        self._count = 0

    def taken(self) -> list[ast.stmt]:
        """Return the assignments that have to come before the statement that was visited last."""
        made, self._made = self._made, []
        return made

    def visit(self, node: Any) -> Any:
        parameters = list(getattr(node, "type_params", None) or [])
        if parameters:
            names = self._declare(parameters, node)
            inside = _Renaming(names)
            if isinstance(node, ast.ClassDef):
                node.bases = [inside.visit(each) for each in node.bases]
                node.keywords = [inside.visit(each) for each in node.keywords]
                node.body = [inside.visit(each) for each in node.body]
                node.bases.append(_generic([(each, names[each.name]) for each in parameters]))
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                defaults = node.args.defaults, node.args.kw_defaults
                node.args.defaults, node.args.kw_defaults = [], []
                node.args = inside.visit(node.args)
                node.args.defaults, node.args.kw_defaults = defaults
                node.returns = inside.visit(node.returns) if node.returns else None
                node.body = [inside.visit(each) for each in node.body]
            else:
                node.value = inside.visit(node.value)  # a TypeAlias
            node.type_params = []
        if type(node).__name__ == "TypeAlias":
            return _alias(node, [self._names[each.name] for each in parameters] if parameters else [])
        return self.generic_visit(node)

    def _declare(self, parameters: Sequence[Any], node: ast.AST) -> Mapping[str, str]:
        self._count += 1
        self._names = {each.name: f"_{each.name}_{self._count}" for each in parameters}
        renaming = _Renaming(self._names)
        for each in parameters:
            bound = renaming.visit(each.bound) if getattr(each, "bound", None) else None
            default = renaming.visit(each.default_value) if getattr(each, "default_value", None) else None
            constraints = bound.elts if isinstance(bound, ast.Tuple) else []
            keywords = {"bound": None if constraints else bound, "default": default}
            call = ast.Call(
                ast.Constant(_KINDS[type(each).__name__]),
                [ast.Constant(each.name), *constraints],
                [ast.keyword(name, value) for name, value in keywords.items() if value is not None],
            )
            self._made.append(_assignment(self._names[each.name], call, node))
        return self._names


class _Renaming(ast.NodeTransformer):
    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._names.get(node.id, node.id)
        return node


def _assignment(name: str, value: ast.expr, place: ast.AST) -> ast.Assign:
    return ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], value), place)


def _constant(value: Any) -> ast.Constant:
    # A tree that is evaluated here may hold any object; the type knows those of source text only.
    return ast.Constant(value)


def _generic(parameters: Iterable[tuple[Any, str]]) -> ast.expr:
    items: list[ast.expr] = []
    for parameter, name in parameters:
        item: ast.expr = ast.Name(name, ast.Load())
        if type(parameter).__name__ == "TypeVarTuple":
            item = ast.Subscript(_constant(typing.Unpack), item, ast.Load())
        items.append(item)
    index = items[0] if len(items) == 1 else ast.Tuple(items, ast.Load())
    return ast.Subscript(_constant(typing.Generic), index, ast.Load())


def _alias(node: Any, names: Sequence[str]) -> ast.Assign:
    parameters = ast.Tuple([ast.Name(name, ast.Load()) for name in names], ast.Load())
    call = ast.Call(
        _constant(typing_extensions.TypeAliasType),
        [ast.Constant(node.name.id), node.value],
        [ast.keyword("type_params", parameters)] if names else [],
    )
    return _assignment(node.name.id, call, node)
