"""Names that a statement binds."""

from __future__ import annotations

import ast


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
