"""Which functions a reading calls: those whose result depends on their arguments alone, and that change nothing else."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import inspect
import ipaddress
import itertools
import json
import operator
import pathlib
import re
import textwrap
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable
from typing import Any, Final

import typing_extensions

from infra.flow_signature.prefect_names import Flow, FlowDecorator

_VALUES: Final = (
    str,
    bytes,
    bytearray,
    int,
    float,
    complex,
    bool,
    list,
    tuple,
    dict,
    set,
    frozenset,
    range,
    slice,
    type({}.keys()),
    type({}.values()),
    type({}.items()),
    dt.date,
    dt.time,
    dt.timedelta,
    dt.tzinfo,
    decimal.Decimal,
    fractions.Fraction,
    uuid.UUID,
    pathlib.PurePath,
    collections.deque,
    collections.ChainMap,
    types.SimpleNamespace,
    types.MappingProxyType,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    zoneinfo.ZoneInfo,
    re.Pattern,
    enum.Enum,
    BaseException,
    contextlib.suppress,
    contextlib.nullcontext,
    property,
)
"""Types whose instances a reading makes, and whose methods it calls."""

_IMPURE: Final = frozenset(
    ["now", "today", "utcnow", "fromtimestamp", "utcfromtimestamp", "astimezone", "timestamp", "cwd", "home", "parse_file", "model_rebuild", "no_cache", "clear_cache", "match", "search", "fullmatch", "sub", "subn", "split_by", "finditer", "findall", "from_cache"]
)
"""Methods of these types that read the clock, the time zone, the folder, or take unbounded time."""

_BUILTINS: Final = frozenset(
    ["abs", "all", "any", "ascii", "bin", "bool", "bytearray", "bytes", "callable", "chr", "classmethod", "complex", "dict", "divmod", "enumerate", "filter", "float", "format", "frozenset", "getattr", "hasattr", "hex", "int", "isinstance", "issubclass", "len", "list", "map", "max", "min", "next", "object", "oct", "ord", "pow", "print", "property", "range", "repr", "reversed", "round", "set", "slice", "sorted", "staticmethod", "str", "sum", "super", "tuple", "type", "zip", "iter", "delattr", "setattr"]
)
_MODULES: Final = (
    "typing",
    "typing_extensions",
    "pydantic",
    "pydantic_core",
    "annotated_types",
    "abc",
    "enum",
    "dataclasses",
)
"""Modules of which everything is pure, with their submodules."""

_MATH: Final = frozenset(["factorial", "comb", "perm", "prod"])
_FUNCTIONS: Final[tuple[Callable[..., Any], ...]] = (
    functools.wraps,
    functools.update_wrapper,
    functools.reduce,
    functools.lru_cache,
    functools.cache,
    functools.total_ordering,
    json.loads,
    json.dumps,
    textwrap.dedent,
    textwrap.indent,
    collections.namedtuple,
    enum.unique,
    re.compile,
    re.escape,
    inspect.signature,
    inspect.getdoc,
    inspect.cleandoc,
    contextlib.contextmanager,
    pathlib.PurePath,
    typing.cast,
)
_CLASSES: Final = (
    functools.partial,
    functools.cached_property,
    itertools.chain,
    collections.defaultdict,
    collections.OrderedDict,
    collections.Counter,
    typing.TypeVar,
    typing_extensions.TypeVar,
    Flow,
    FlowDecorator,
)
_PATHS: Final = frozenset(["join", "basename", "dirname", "splitext", "split", "normpath"])
_CALLING: Final = frozenset(["map", "filter", "sorted", "max", "min", "iter", "sort", "reduce", "defaultdict", "loads", "dumps"])
_PASSED: Final = frozenset({int, float, str, bool, len, abs, list, tuple, set, dict, frozenset, repr, min, max, sum})
_PASSED_METHODS: Final = frozenset(["lower", "upper", "strip", "title", "capitalize", "casefold", "keys", "values", "items", "copy", "get"])
MUTATORS: Final = frozenset(
    ["append", "extend", "insert", "pop", "remove", "clear", "sort", "reverse", "update", "setdefault", "popitem", "add", "discard", "appendleft", "extendleft", "popleft", "rotate", "difference_update", "intersection_update", "symmetric_difference_update", "subtract", "move_to_end", "__setitem__", "__delitem__"]
)
"""Methods that change the object that they belong to."""


class Purity:
    """Knows the functions and classes that a reading has made beside those of the libraries."""

    def __init__(self) -> None:
        self.functions: set[int] = set()
        self.classes: set[type] = set()
        self._factories: dict[type, bool] = {}

    def permits(self, function: Any) -> bool:
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
                return issubclass(function.__objclass__, _VALUES) and function.__name__ not in _IMPURE
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
            return function in _PASSED or function in self.classes
        if isinstance(function, types.MethodDescriptorType):
            return function.__name__ in _PASSED_METHODS
        return (isinstance(function, types.BuiltinFunctionType) and function in _PASSED) or isinstance(
            function, operator.itemgetter
        )

    def calls_back(self, function: Any) -> bool:
        """Whether a function of a library calls what it gets as an argument, at once or later."""
        return getattr(function, "__name__", "") in _CALLING

    def _permits_method(self, function: types.MethodType) -> bool:
        if id(function.__func__) in self.functions or isinstance(function.__self__, Flow):
            return True
        name = getattr(function.__func__, "__name__", "")
        if isinstance(function.__self__, pathlib.PurePath):
            return hasattr(pathlib.PurePath, name)
        return name not in _IMPURE and self._has_pure_methods(function.__self__)

    def _permits_class(self, cls: type) -> bool:
        if cls in self.classes:
            return self._has_pure_factories(cls)
        if cls.__module__ == "builtins":
            return cls.__name__ in _BUILTINS or issubclass(cls, BaseException)
        return issubclass(cls, (*_VALUES, *_CLASSES)) or _in_modules(cls.__module__) or cls is types.NoneType

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
                return function.__name__ in _BUILTINS
            if module in ("math", "cmath"):
                return function.__name__ not in _MATH
            return function in _FUNCTIONS or _in_modules(str(module or ""))
        if isinstance(owner, type):
            return (issubclass(owner, _VALUES) or owner in self.classes) and function.__name__ not in _IMPURE
        return self._has_pure_methods(owner) and function.__name__ not in _IMPURE

    def _has_pure_methods(self, owner: Any) -> bool:
        cls = owner if isinstance(owner, type) else type(owner)
        if cls in self.classes:
            return True
        return issubclass(cls, _VALUES) or _in_modules(cls.__module__)

    def _is_known(self, function: types.FunctionType) -> bool:
        if function in _FUNCTIONS or _in_modules(function.__module__ or ""):
            return function.__name__ not in _IMPURE
        if function.__module__ in ("posixpath", "ntpath"):
            return function.__name__ in _PATHS
        owner = function.__qualname__.rpartition(".")[0]
        if function.__module__ == "pathlib" and owner:
            return hasattr(pathlib.PurePath, function.__name__)
        return bool(owner) and any(
            cls.__module__ == function.__module__ and cls.__qualname__ == owner for cls in (*_VALUES, *_CLASSES)
        )


def _in_modules(module: str) -> bool:
    return module.partition(".")[0] in _MODULES
