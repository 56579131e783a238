"""Calls functions that are pure, with arguments that are known and results that are small."""

from __future__ import annotations

import ast
import dataclasses
import functools
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import pydantic

from infra.flow_signature.budget import check_operation, check_text
from infra.flow_signature.import_calls import ImportCalls
from infra.flow_signature.limits import check_call, check_orders
from infra.flow_signature.machine import Frame
from infra.flow_signature.prefect_names import FLOW, OPTIONS, Flow, FlowDecorator
from infra.flow_signature.pure_functions import MUTATORS
from infra.flow_signature.purity import Purity
from infra.flow_signature.unknown import Undecidable, Unknown

_NATIVE: Final = compile("function(*arguments, **keywords)", "<module>", "eval")
"""Classes take the name of their module from the code that makes them."""
_ELEMENTS: Final = frozenset(["append", "appendleft", "insert"])
_OF_MODULE: Final = frozenset({globals, locals, vars, exec, eval})
_REFLECTING: Final = (getattr, hasattr, setattr, delattr)
_FIELDS: Final = (pydantic.Field, dataclasses.field)


class Calls(ImportCalls):
    """Evaluates calls."""

    purity: Purity

    def _call(self, node: ast.Call, frame: Frame) -> Any:  # noqa: PLR0912  one answer per kind
        function = self.evaluate(node.func, frame)
        if any(function is each for each in _OF_MODULE):
            return self._of_module(function, node, frame)
        if function is super and not node.args and not node.keywords:
            return self._super(frame)
        arguments: list[Any] = []
        keywords: dict[str, Any] = {}
        failure: Unknown | None = None
        for argument in node.args:
            try:
                if isinstance(argument, ast.Starred):
                    arguments += self.iterate(self.evaluate(argument.value, frame))
                else:
                    arguments.append(self.evaluate(argument, frame))
            except Undecidable as outcome:
                if self.is_exhausted(outcome):
                    raise
                failure = outcome.unknown
        for keyword in node.keywords:
            value = self.evaluate(keyword.value, frame)
            if keyword.arg is not None:
                keywords[keyword.arg] = value
            elif isinstance(value, Unknown):
                if not _decorates(function):
                    failure = value
                keywords[OPTIONS] = value
            else:
                keywords.update(value)
        if failure is not None:
            self.risks += 1
            for value in [*arguments, *keywords.values()]:
                self.alter(value, failure)
            raise Undecidable(failure)
        return self.call(function, arguments, keywords, frame, node)

    def _of_module(self, function: Any, node: ast.Call, frame: Frame) -> Any:
        """Return what functions return that read or change the names of the module itself."""
        arguments = [self.evaluate(argument, frame) for argument in node.args]
        if function is globals:
            return frame.module.object.__dict__
        if function in (locals, vars) and not arguments and frame.kind == "module":
            return frame.names
        if function is vars and arguments and not isinstance(arguments[0], Unknown):
            self.alter(arguments[0], self.unknown(frame, node, "may change it when the flow is loaded"))
        if function in (exec, eval) and len(arguments) == 1 and isinstance(arguments[0], str) and not node.keywords:
            self.budget.spend(len(arguments[0]))
            if function is eval:
                return self.evaluate(ast.parse(arguments[0].strip(), mode="eval").body, frame)
            self.block(ast.parse(arguments[0]).body, frame)
            return None
        unknown = self.unknown(frame, node, "runs code that is not read")
        if function is exec:
            self.lose_names(frame.module.object, unknown)
        return unknown

    def _call_on_names(
        self, function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any], frame: Frame, node: ast.AST
    ) -> Any:
        """Call a method of `globals()`."""
        names = frame.module.object.__dict__
        name = getattr(function, "__name__", "")
        unknown = self.unknown(frame, node, "changes names in a way that is not read")
        if any(isinstance(value, Unknown) for value in arguments):
            name = "clear"
        if name == "update":
            for key, value in dict(*arguments, **keywords).items():
                self.write(names, key, value)
            return None
        if name in MUTATORS or name.startswith("__"):
            self.lose_names(frame.module.object, unknown)
            return unknown
        return self.known(function(*arguments, **keywords))

    def _super(self, frame: Frame) -> Any:
        while frame.title == "<comprehension>" and frame.outer is not None:
            frame = frame.outer
        if not frame.owner:
            raise RuntimeError("super(): no arguments")
        return super(frame.owner[0], frame.first)

    def call(
        self, function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any], frame: Frame, node: ast.AST
    ) -> Any:
        """Return the result of a call, which may be Unknown.

        What an unknown function gets, and the object that it belongs to, may be changed by it.
        """
        values = [*arguments, *keywords.values()]
        function = self.known(function)
        if getattr(function, "__self__", None) is frame.module.object.__dict__:
            return self._call_on_names(function, arguments, keywords, frame, node)
        if self.imports(function):
            return self.imported(function, arguments, keywords)
        if not isinstance(function, Unknown) and self.purity.permits(function):
            owner = getattr(function, "__self__", None)
            if self.uncertain and getattr(function, "__name__", "") in MUTATORS:
                self.alter(owner, self.unknown(frame, node, "may change it when the flow is loaded"))
            try:
                return self._permitted(function, arguments, keywords, frame)
            except Undecidable as outcome:
                unknown = self.placed(outcome.unknown, frame, node)
                own = id(getattr(function, "__func__", function)) in self.purity.functions
                changed = [*values, owner] if own else [owner] if getattr(function, "__name__", "") in MUTATORS else []
                for value in changed:
                    self.alter(value, unknown)
                if self.is_exhausted(outcome):
                    raise
                self.risks += 1
                return unknown
        if function is print:
            return None
        self.risks += 1
        if isinstance(function, Unknown):
            unknown = Unknown(*function.causes)
        else:
            unknown = self.unknown(frame, node, f"calls {_name(function)}, whose result only running it would show")
        self.change(function, values, unknown)
        return unknown

    def _permitted(self, function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any], frame: Frame) -> Any:
        values = [*arguments, *keywords.values()]
        own = self._is_own(function)
        if not own:
            causes = [cause for value in values for cause in self.causes(value)]
            if causes and not self._takes_unknown(function, arguments, keywords):
                raise Undecidable(Unknown(*causes))
            check_call(self.budget, function, arguments, keywords)
            check_orders(function, values)
            if self.purity.calls_back(function):
                for value in values:
                    if callable(value) and not isinstance(value, Unknown) and not self.purity.passes(value):
                        raise Undecidable(Unknown.because("it calls a function that is not read"))
        if any(function is each for each in _REFLECTING):
            return self._reflect(function, list(arguments), frame)
        if function is pow or function is divmod:
            check_operation("Pow" if function is pow else "Mod", *list(arguments)[:2])
        scope = {
            "__name__": frame.module.name,
            "function": function,
            "arguments": arguments,
            "keywords": dict(keywords),
        }
        result = eval(_NATIVE, scope)  # noqa: S307  calls the function from a frame of its module
        if not own and isinstance(result, str | bytes):
            check_text(result)
        if isinstance(result, type) and not own and result.__module__ == frame.module.name:
            self.purity.classes.add(result)
        return self.known(result)

    def _is_own(self, function: Any) -> bool:  # noqa: PLR0911  one answer per kind
        """Whether a call leads to code that is read, which handles what is unknown."""
        if isinstance(function, functools.partial):
            return self._is_own(function.func)
        if isinstance(function, Flow | FlowDecorator) or function is Flow:
            return True
        if isinstance(getattr(function, "__self__", None), Flow):
            return True
        target = getattr(function, "__func__", function)
        if id(target) in self.purity.functions:
            return True
        if type(function) in self.purity.classes:
            return True
        if isinstance(function, type) and function in self.purity.classes:
            return isinstance(function.__init__, types.FunctionType) and id(function.__init__) in self.purity.functions  # type: ignore[misc]
        return False

    def _takes_unknown(self, function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> bool:
        """Whether a function of a library only stores what is unknown, or hides nothing of it."""
        if function in _FIELDS:
            options = [value for name, value in keywords.items() if name not in ("default", "default_factory")]
            return not self.causes(options)
        if function in (functools.partial, list, tuple, dict, property, isinstance, classmethod, staticmethod, type):
            return not any(isinstance(argument, Unknown) for argument in arguments[: 1 if function is not dict else 9])
        name = getattr(function, "__name__", "")
        if name in _ELEMENTS or name == "setdefault":
            return True
        if getattr(function, "__module__", "") in ("functools", "dataclasses") or function is pydantic.PrivateAttr:
            return True
        module = str(getattr(function, "__module__", ""))
        return module.startswith("pydantic.functional_") or (module == "typing" and not isinstance(function, type))

    def _reflect(self, function: Callable[..., Any], arguments: list[Any], frame: Frame) -> Any:
        """Return what `getattr` and its like do, within the same limits as the syntax for it."""
        owner, name = arguments[0], arguments[1]
        if isinstance(owner, Unknown):
            raise Undecidable(owner)
        if function is setattr:
            self.set_attribute(owner, name, arguments[2])
            return None
        if function is delattr:
            raise Undecidable(Unknown.because("it removes an attribute"))
        try:
            value = self.attribute(owner, name, frame, ast.Pass())
        except AttributeError:
            if function is hasattr:
                return False
            if len(arguments) > 2:
                return arguments[2]
            raise
        return True if function is hasattr else value

    def set_attribute(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of an object that the project's own code has made.

        Raises:
            Undecidable: the object belongs to a library.

        """
        cls = owner if isinstance(owner, type) else type(owner)
        own = (
            cls in self.purity.classes
            or isinstance(owner, Flow | types.SimpleNamespace)
            or id(owner) in self.purity.functions
            or (isinstance(owner, types.ModuleType) and self.is_read(owner))
        )
        if not own:
            raise Undecidable(Unknown.because("it sets an attribute of a library"))
        if self.uncertain:
            self.alter(owner, Unknown.because(f"its attribute {name} is set only in some cases"))
        setattr(owner, name, value)


def _decorates(function: Any) -> bool:
    return function is FLOW or function is Flow or isinstance(function, functools.partial)


def _name(function: Any) -> str:
    module = str(getattr(function, "__module__", "") or "")
    owner = getattr(function, "__self__", None)
    name = str(getattr(function, "__qualname__", type(function).__name__))
    if isinstance(owner, type) and "." not in name:
        name = f"{owner.__name__}.{name}"
    return name if module in ("", "builtins", "posix", "nt") or module.startswith("_") else f"{module}.{name}"
