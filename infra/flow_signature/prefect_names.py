"""What stands for Prefect's `flow` and `Flow` while a module is read, with the arguments that a deployment needs."""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable, Iterable
from typing import Any, Final

from infra.flow_signature.unknown import Cause, Decorated, Undecidable, Unknown

FORBIDDEN: Final = frozenset("/%&<>")
"""Characters that Prefect does not allow in a name, because names are parts of URLs."""

_RESERVED: Final = ("return_state", "wait_for")
_MODEL: Final = frozenset(
    ["model_config", "model_dump", "model_dump_json", "model_validate", "model_validate_json", "model_validate_strings"]
)
"""Names that a model of pydantic cannot have as fields; Prefect makes one of the parameters."""
OPTIONS: Final = "options that are unknown"
"""Keyword under which `flow(**options)` passes on options that are unknown."""


class FlowError(Exception):
    """Prefect refuses a flow. The text says why and what to write."""


class Flow:
    """A flow as its module defines it.

    Attributes:
        fn: its function.
        name: its name, or the unknown that it is.
        description: its description, None, or the unknown that it is.
        causes: why its signature may be another than that of its function.

    """

    def __init__(self, fn: Any, name: Any = None, *_: Any, description: Any = None, **options: Any) -> None:
        """Check and keep what Prefect's class checks and keeps.

        Raises:
            Undecidable: the function is unknown.
            FlowError: Prefect refuses the flow.

        """
        self.causes: tuple[Cause, ...] = ()
        self._validated = options.get("validate_parameters") is not False
        if isinstance(fn, Decorated):
            self.causes, fn = fn.causes, fn.inner
        if isinstance(fn, Unknown):
            raise Undecidable(fn)
        if OPTIONS in options:
            unknown = options[OPTIONS]
            name = unknown if name is None else name
            description = unknown if description is None else description
        if isinstance(fn, classmethod | staticmethod):
            fn = fn.__func__
        if not callable(fn):
            raise FlowError("@flow decorates something that is not a function; decorate a function")
        if not isinstance(name, str | Unknown | None):
            raise FlowError("the name in @flow must be text; write a string")
        name, description = _text(name), _text(description)
        default = fn.__name__.replace("_", "-").replace("<lambda>", "unknown-lambda")
        self.name: Any = name if isinstance(name, Unknown) else name or default
        if isinstance(self.name, str) and (characters := FORBIDDEN & set(self.name)):
            text = f"the flow's name '{self.name}' has {' '.join(sorted(characters))}, which Prefect refuses"
            raise FlowError(f"{text}; write another in @flow(name=...)")
        self.description: Any = description if isinstance(description, Unknown) else description or inspect.getdoc(fn)
        functools.update_wrapper(self, fn)
        self.fn = fn
        for name in inspect.signature(fn).parameters:
            if name in _RESERVED:
                raise FlowError(f"'{name}' is reserved by Prefect and cannot be a parameter; rename it")
            if name in _MODEL and self._validated:
                text = f"a parameter '{name}' cannot be validated, because pydantic has that name; rename it"
                raise FlowError(f"{text}, or write @flow(validate_parameters=False)")

    def with_options(self, *, name: Any = None, description: Any = None, **options: Any) -> Flow:
        """Return a copy with other options."""
        copy = Flow(
            self.fn,
            self.name if name is None or name == "" else name,
            description=self.description if description is None or description == "" else description,
            validate_parameters=self._validated and options.get("validate_parameters") is not False,
        )
        copy.causes = self.causes
        return copy

    def __call__(self, *_: Any, **__: Any) -> Any:
        """Return what a run returns, which only a run shows."""
        return Unknown.because("it is the result of a flow")

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of Prefect's class, which is unknown."""
        if name.startswith("__"):
            raise AttributeError(name)
        return Unknown.library("prefect")

    def __get__(self, _: object, __: object = None) -> Flow:
        """Return itself as a method: `self` and `cls` do not count as parameters."""
        return self


def _text(value: Any) -> Any:
    """Return the text of a member of an enumeration that is text, and anything else as it is."""
    return str.__str__(value) if isinstance(value, str) else value


class FlowDecorator:
    """Stands for `prefect.flow`."""

    def __call__(self, fn: Any = None, /, **options: Any) -> Any:
        """Return a flow, or a decorator with the options."""
        if fn is None:
            return functools.partial(self, **options)
        return Flow(fn, options.pop("name", None), **options)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of Prefect's decorator, which is unknown."""
        if name.startswith("__"):
            raise AttributeError(name)
        return Unknown.library("prefect")


FLOW: Final = FlowDecorator()
PUBLIC: Final = {"flow": FLOW, "Flow": Flow}
"""What `prefect` and `prefect.flows` have that is known."""


def only_flow(values: Iterable[Any]) -> Any:
    """Return the one of several values that is a flow or Prefect's `flow`; None if it is none, several or unknown."""
    values = list(values)
    flows = {id(value): value for value in values if isinstance(value, Flow | FlowDecorator)}
    if len(flows) != 1 or any(isinstance(value, Unknown) for value in values):
        return None
    return next(iter(flows.values()))


def prefect_module(name: str) -> types.ModuleType:
    """Return what stands for Prefect, or a module of it, while a module is read."""
    module = types.ModuleType(name)
    vars(module)["__getattr__"] = _attribute(name)
    vars(module)["__path__"] = []
    if name in ("prefect", "prefect.flows"):
        vars(module).update(PUBLIC)
    if name == "prefect":
        vars(module)["flows"] = prefect_module("prefect.flows")
    return module


def _attribute(module: str) -> Callable[[str], Any]:
    def attribute(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unknown.library(f"{module}.{name}")

    return attribute
