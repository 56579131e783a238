"""Makes classes: the bodies are read, and the real metaclass of pydantic, enum and the like makes the class."""

from __future__ import annotations

import ast
import enum
import types
from collections.abc import MutableMapping
from typing import Any, Final

import pydantic

from infra.flow_signature.functions import Functions, qualified, source_text
from infra.flow_signature.machine import Frame
from infra.flow_signature.schema_v1 import model_class
from infra.flow_signature.unknown import Cause, Decorated, Undecidable, Unknown

_STEPS: Final = 60
"""What making a class counts as, beside the statements of its body."""
_MAKE: Final = compile("metaclass(name, bases, namespace, **keywords)", "<module>", "eval")
"""Made in a frame that looks like a module, because pydantic looks for types among the names of the caller."""
_PLAIN: Final = (ast.Name, ast.Attribute, ast.Subscript, ast.Tuple, ast.List, ast.Constant, ast.BinOp, ast.BitOr)
_PLAIN_PARTS: Final = (*_PLAIN, ast.expr_context, ast.Expression)


class Classes(Functions):
    """Evaluates definitions of classes."""

    def _classdef(self, node: ast.ClassDef, frame: Frame) -> None:
        self.budget.spend(_STEPS)
        decorators = [(part, self.evaluate(part, frame)) for part in node.decorator_list]
        bases: list[Any] = []
        for part in node.bases:
            if isinstance(part, ast.Starred):
                bases += self.iterate(self.evaluate(part.value, frame))
            else:
                bases.append(self.evaluate(part, frame))
        keywords = {keyword.arg: self.evaluate(keyword.value, frame) for keyword in node.keywords if keyword.arg}
        unknown = [cause for part in [*bases, *keywords.values()] for cause in self.causes(part)]
        value: Any = Unknown(*unknown) if unknown else self._made(node, frame, bases, keywords)
        for part, decorator in reversed(decorators):
            value = self.decorate(decorator, value, frame, part)
        self.store(frame, node.name, value)

    def _made(self, node: ast.ClassDef, frame: Frame, bases: list[Any], keywords: dict[str, Any]) -> Any:
        resolved = types.resolve_bases(bases)
        metaclass, namespace, options = types.prepare_class(node.name, resolved, dict(keywords))
        if not self._is_library_metaclass(metaclass):
            raise Undecidable(self.unknown(frame, node, "has a metaclass that is not read"))
        if not issubclass(metaclass, enum.EnumMeta):
            # Pydantic's own mapping looks into the values that are assigned, which may be unknown.
            namespace = dict(namespace)
        namespace["__module__"] = frame.module.name
        namespace["__qualname__"] = qualified(node.name, frame)
        docstring = ast.get_docstring(node, clean=False)
        if docstring is not None:
            namespace["__doc__"] = docstring
        owner: list[type] = []
        outer = frame.outer if frame.kind == "class" else frame if frame.kind == "function" else None
        inner = Frame("class", namespace, frame.module, outer, owner=owner, title=node.name)
        self.block(node.body, inner)
        if tuple(resolved) != tuple(bases):
            namespace["__orig_bases__"] = tuple(bases)
        causes = self._unknown_members(namespace, metaclass, resolved)
        if causes:
            return Unknown(*causes)
        made = eval(  # noqa: S307  calls the metaclass from a frame of its module
            _MAKE,
            {
                "__name__": frame.module.name,
                "metaclass": metaclass,
                "name": node.name,
                "bases": tuple(resolved),
                "namespace": namespace,
                "keywords": options,
            },
        )
        members: dict[str, Any] = dict(made.__members__) if isinstance(made, enum.EnumMeta) else {}
        if any(isinstance(member, Unknown) for member in members.values()):
            return self.unknown(frame, node, "makes the members of an enumeration in a way that is not read")
        if isinstance(made, type):
            owner.append(made)
            self.purity.classes.add(made)
        return made

    def _is_library_metaclass(self, metaclass: type) -> bool:
        own = metaclass in self.purity.classes
        return not own

    def _unknown_members(self, namespace: MutableMapping[str, Any], metaclass: type, bases: Any) -> tuple[Cause, ...]:
        """Return why the class is unknown as a whole; replace unknown methods, which its schema does not show."""
        annotated = namespace.get("__annotations__", {})
        if issubclass(metaclass, enum.EnumMeta):
            return tuple(
                cause
                for name, value in list(namespace.items())
                if not name.startswith("__") and not isinstance(value, Decorated)
                for cause in self.causes(value)
            )
        first = model_class()
        models = (pydantic.BaseModel, first) if first else (pydantic.BaseModel,)
        if any(isinstance(base, type) and issubclass(base, models) for base in bases):
            for name, value in list(namespace.items()):
                if name == "model_config" and (causes := self.causes(value)):
                    return causes
                if isinstance(value, Unknown) and name not in annotated:
                    namespace[name] = value.inner if isinstance(value, Decorated) else property(None)
        return ()

    def _annassign(self, node: ast.AnnAssign, frame: Frame) -> None:
        value: Any = None
        if node.value is not None:
            value = self.evaluate(node.value, frame)
        if isinstance(node.target, ast.Name):
            if frame.kind == "class" and node.simple:
                annotations = frame.names.setdefault("__annotations__", {})
                annotations[node.target.id] = self._field_annotation(node.annotation, frame)
            if node.value is not None:
                self.store(frame, node.target.id, value)
        elif node.value is not None:
            self.assign(node.target, value, frame)

    def _field_annotation(self, node: ast.expr, frame: Frame) -> Any:
        """Return the annotation of a field: its text if it is postponed and names types alone."""
        text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
        if not frame.module.postponed and text is None:
            return self.annotation(node, frame)
        try:
            tree = ast.parse(text.strip(), mode="eval").body if text is not None else node
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return Unknown(*self.unknown(frame, node, "has an annotation that is not Python").causes)
        if all(isinstance(part, _PLAIN_PARTS) for part in ast.walk(tree)):
            return text if text is not None and not frame.module.postponed else source_text(node)
        try:
            return self.evaluate(tree, frame)
        except NameError:
            return self.unknown(frame, node, "names something that is defined later")
