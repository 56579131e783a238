"""Binds and deletes targets: names, items, attributes and what is unpacked into them."""

from __future__ import annotations

import ast
from collections.abc import MutableMapping
from typing import Any, Final

from infra.flow_signature.classes import Classes
from infra.flow_signature.machine import Frame
from infra.flow_signature.operations import operate
from infra.flow_signature.unknown import Undecidable, Unknown

CHANGEABLE: Final = (list, dict, set, bytearray)
"""Types of values that statements change in place."""


class Assignments(Classes):
    """Executes assignments."""

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
            if self.uncertain and isinstance(current, CHANGEABLE):
                self.alter(current, self.unknown(frame, node, "may change it when the flow is loaded"))
            result = operate(type(node.op).__name__, current, right, in_place=True)
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
                    names = self.own_names(frame, target.id)
                    if target.id not in names:
                        raise NameError(target.id)
                    self.erase(names, target.id)
                case ast.Subscript():
                    owner = self.evaluate(target.value, frame)
                    if self.uncertain or self.causes(owner):
                        self.alter(owner, self.unknown(frame, node, "may change it when the flow is loaded"))
                    if not isinstance(owner, Unknown):
                        del owner[self.evaluate(target.slice, frame)]
                case ast.Attribute():
                    owner = self.evaluate(target.value, frame)
                    cls = owner if isinstance(owner, type) else type(owner)
                    own = cls in self.purity.classes or id(owner) in self.purity.functions
                    if self.uncertain or not own:
                        raise Undecidable(self.unknown(frame, node, "deletes an attribute"))
                    delattr(owner, target.attr)

    def own_names(self, frame: Frame, name: str) -> MutableMapping[str, Any]:
        """Return the names among which a block binds and deletes a name."""
        return frame.module.object.__dict__ if frame.elsewhere.get(name) == "global" else frame.names


def _as_load(target: ast.Name | ast.Attribute | ast.Subscript) -> ast.expr:
    match target:
        case ast.Name():
            return ast.copy_location(ast.Name(target.id, ast.Load()), target)
        case ast.Attribute():
            return ast.copy_location(ast.Attribute(target.value, target.attr, ast.Load()), target)
    return ast.copy_location(ast.Subscript(target.value, target.slice, ast.Load()), target)
