"""Which functions a reading calls: those that are pure, and those that it has made from the source."""

from __future__ import annotations

import dataclasses
import functools
import operator
import pathlib
import types
import typing
from typing import Any

from infra.flow_signature.prefect_names import Flow, FlowDecorator
from infra.flow_signature.pure_functions import (
    BUILTINS,
    CALLING,
    CLASSES,
    FUNCTIONS,
    IMPURE,
    MATH,
    MODULES,
    PASSED,
    PASSED_METHODS,
    PATHS,
    VALUES,
)


class Purity:
    """Knows the functions and classes that a reading has made beside those of the libraries."""

    def __init__(self) -> None:
        self.functions: set[int] = set()
        self.classes: set[type] = set()
        self._factories: dict[type, bool] = {}

    def permits(self, function: Any) -> bool:  # noqa: PLR0911  one answer per kind
        """Whether a reading calls a function, method or class."""
        match function:
            case types.FunctionType():
                return id(function) in self.functions or self._is_known(function)
            case types.MethodType():
                return self._permits_method(function)
            case functools.partial():
                return self.permits(function.func)
            case type():
                return self._permits_class(function)
            case types.BuiltinMethodType():
                return self._permits_builtin(function)
            case types.MethodDescriptorType() | types.WrapperDescriptorType() | types.ClassMethodDescriptorType():
                return issubclass(function.__objclass__, VALUES) and function.__name__ not in IMPURE
            case types.MethodWrapperType():
                return self._has_pure_methods(function.__self__)
            case Flow() | FlowDecorator() | operator.itemgetter():
                return True
        wrapped = getattr(function, "__wrapped__", None)
        if type(function).__name__ == "_lru_cache_wrapper" and wrapped is not None:
            return self.permits(wrapped) and wrapped is not function
        origin = typing.get_origin(function)
        if isinstance(origin, type):
            return self._permits_class(origin)
        if type(function).__module__ in ("typing", "typing_extensions"):
            return True
        return type(function) in self.classes or _in_modules(type(function).__module__)

    def passes(self, function: Any) -> bool:
        """Whether a function may be an argument of a function that calls it."""
        if isinstance(function, types.FunctionType | types.MethodType | functools.partial):
            return self.permits(function)
        if isinstance(function, type):
            return function in PASSED or function in self.classes
        if isinstance(function, types.MethodDescriptorType):
            return function.__name__ in PASSED_METHODS
        return (isinstance(function, types.BuiltinFunctionType) and function in PASSED) or isinstance(
            function, operator.itemgetter
        )

    def calls_back(self, function: Any) -> bool:
        """Whether a function of a library calls what it gets as an argument, at once or later."""
        return getattr(function, "__name__", "") in CALLING

    def _permits_method(self, function: types.MethodType) -> bool:
        if id(function.__func__) in self.functions or isinstance(function.__self__, Flow):
            return True
        name = getattr(function.__func__, "__name__", "")
        if isinstance(function.__self__, pathlib.PurePath):
            return hasattr(pathlib.PurePath, name)
        return name not in IMPURE and self._has_pure_methods(function.__self__)

    def _permits_class(self, cls: type) -> bool:
        if cls in self.classes:
            return self._has_pure_factories(cls)
        if cls.__module__ == "builtins":
            return cls.__name__ in BUILTINS or issubclass(cls, BaseException)
        return issubclass(cls, (*VALUES, *CLASSES)) or _in_modules(cls.__module__) or cls is types.NoneType

    def _has_pure_factories(self, cls: type) -> bool:
        """Whether making an instance calls only pure functions for the defaults of its fields."""
        if cls not in self._factories:
            self._factories[cls] = True  # for a class that has itself as a factory
            fields: list[Any] = []
            if isinstance(vars(cls).get("__pydantic_fields__") or getattr(cls, "model_fields", None), dict):
                fields += cls.model_fields.values()  # type: ignore[attr-defined]
            if dataclasses.is_dataclass(cls):
                fields += dataclasses.fields(cls)
            factories = [getattr(each, "default_factory", None) for each in fields]
            self._factories[cls] = all(
                factory in (None, dataclasses.MISSING) or (self.passes(factory) and self.permits(factory))
                for factory in factories
            )
        return self._factories[cls]

    def _permits_builtin(self, function: Any) -> bool:
        owner = function.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            module = owner.__name__ if owner else function.__module__
            if module == "builtins":
                return function.__name__ in BUILTINS
            if module in ("math", "cmath"):
                return function.__name__ not in MATH
            return function in FUNCTIONS or _in_modules(str(module or ""))
        if owner is object:
            return bool(function.__name__ == "__new__")
        if isinstance(owner, type):
            return (issubclass(owner, VALUES) or owner in self.classes) and function.__name__ not in IMPURE
        return self._has_pure_methods(owner) and function.__name__ not in IMPURE

    def _has_pure_methods(self, owner: Any) -> bool:
        cls = owner if isinstance(owner, type) else type(owner)
        if cls in self.classes:
            return True
        return issubclass(cls, VALUES) or _in_modules(cls.__module__)

    def _is_known(self, function: types.FunctionType) -> bool:
        if function in FUNCTIONS or _in_modules(function.__module__ or ""):
            return function.__name__ not in IMPURE
        if function.__module__ in ("posixpath", "ntpath"):
            return function.__name__ in PATHS
        owner = function.__qualname__.rpartition(".")[0]
        if function.__module__ == "pathlib" and owner:
            return hasattr(pathlib.PurePath, function.__name__)
        return bool(owner) and any(
            cls.__module__ == function.__module__ and cls.__qualname__ == owner for cls in (*VALUES, *CLASSES)
        )


def _in_modules(module: str) -> bool:
    return module.partition(".")[0] in MODULES
