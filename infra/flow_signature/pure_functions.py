"""Functions and classes of libraries whose result depends on their arguments alone, and which change nothing."""

from __future__ import annotations

import collections
import contextlib
import datetime as dt
import decimal
import enum
import fractions
import functools
import inspect
import ipaddress
import itertools
import json
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

VALUES: Final[tuple[Any, ...]] = (
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

IMPURE: Final = frozenset(
    [
        "now",
        "today",
        "utcnow",
        "fromtimestamp",
        "utcfromtimestamp",
        "astimezone",
        "timestamp",
        "cwd",
        "home",
        "parse_file",
        "model_rebuild",
        "no_cache",
        "clear_cache",
        "match",
        "search",
        "fullmatch",
        "sub",
        "subn",
        "split_by",
        "finditer",
        "findall",
        "from_cache",
    ]
)
"""Methods of these types that read the clock, the time zone, the folder, or take unbounded time."""

BUILTINS: Final = frozenset(
    [
        "abs",
        "all",
        "any",
        "ascii",
        "bin",
        "bool",
        "bytearray",
        "bytes",
        "callable",
        "chr",
        "classmethod",
        "complex",
        "dict",
        "divmod",
        "enumerate",
        "filter",
        "float",
        "format",
        "frozenset",
        "getattr",
        "hasattr",
        "hex",
        "int",
        "isinstance",
        "issubclass",
        "len",
        "list",
        "map",
        "max",
        "min",
        "next",
        "object",
        "oct",
        "ord",
        "pow",
        "print",
        "property",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "slice",
        "sorted",
        "staticmethod",
        "str",
        "sum",
        "super",
        "tuple",
        "type",
        "zip",
        "iter",
        "delattr",
        "setattr",
    ]
)
MODULES: Final = (
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

MATH: Final = frozenset(["factorial", "comb", "perm", "prod"])
FUNCTIONS: Final[tuple[Callable[..., Any], ...]] = (
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
    collections.namedtuple,  # noqa: PYI024  projects call it
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
CLASSES: Final = (
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
PATHS: Final = frozenset(["join", "basename", "dirname", "splitext", "split", "normpath"])
CALLING: Final = frozenset(
    ["map", "filter", "sorted", "max", "min", "iter", "sort", "reduce", "defaultdict", "loads", "dumps"]
)
PASSED: Final = frozenset({int, float, str, bool, len, abs, list, tuple, set, dict, frozenset, repr, min, max, sum})
PASSED_METHODS: Final = frozenset(
    ["lower", "upper", "strip", "title", "capitalize", "casefold", "keys", "values", "items", "copy", "get"]
)
MUTATORS: Final = frozenset(
    [
        "append",
        "extend",
        "insert",
        "pop",
        "remove",
        "clear",
        "sort",
        "reverse",
        "update",
        "setdefault",
        "popitem",
        "add",
        "discard",
        "appendleft",
        "extendleft",
        "popleft",
        "rotate",
        "difference_update",
        "intersection_update",
        "symmetric_difference_update",
        "subtract",
        "move_to_end",
        "__setitem__",
        "__delitem__",
    ]
)
"""Methods that change the object that they belong to."""
