"""Evaluates comprehensions, and generator expressions at once."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from infra.flow_signature.expressions import Expressions
from infra.flow_signature.machine import Frame


class Comprehensions(Expressions):
    """Evaluates comprehensions."""

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
        inner = Frame("function", {}, frame.module, outer, title="<comprehension>", home=frame)

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
