"""Makes functions that have the signature of the source and, when called, lead back to the reading."""

from __future__ import annotations

import ast
import functools
import types
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from infra.flow_signature.calls import Calls
from infra.flow_signature.machine import Frame, Signal
from infra.flow_signature.unknown import Decorated, Undecidable, Unknown

Definition = ast.FunctionDef | ast.AsyncFunctionDef
_DEEPEST_CALLS: Final = 25


class Return(Signal):
    """A `return` statement."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class Functions(Calls):
    """Evaluates definitions of functions, lambdas and decorators."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._kept: list[Any] = []
        self._calls = 0

    def _functiondef(self, node: Definition, frame: Frame) -> None:
        decorators = [(part, self.evaluate(part, frame)) for part in node.decorator_list]
        value: Any = self.function(node, frame)
        for part, decorator in reversed(decorators):
            value = self.decorate(decorator, value, frame, part)
        self.store(frame, node.name, value)

    _asyncfunctiondef = _functiondef

    def decorate(self, decorator: Any, value: Any, frame: Frame, node: ast.expr) -> Any:
        """Return what a decorator makes of a function or class."""
        result = self.call(decorator, [value], {}, frame, node)
        if isinstance(result, Unknown) and not isinstance(value, Unknown):
            return Decorated(value, *result.causes)
        if isinstance(result, Unknown) and isinstance(value, Decorated):
            return Decorated(value.inner, *value.causes, *result.causes)
        return result

    def _lambda(self, node: ast.Lambda, frame: Frame) -> Any:
        return self.function(node, frame)

    def function(self, node: Definition | ast.Lambda, frame: Frame) -> types.FunctionType:
        """Return the function that a definition makes, without its decorators."""
        args = node.args
        defaults = [self._attempted(default, frame) for default in args.defaults]
        keyword_defaults = {
            arg.arg: self._attempted(default, frame)
            for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)
            if default is not None
        }
        name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
        owner: list[type] = frame.owner if frame.kind == "class" else []
        body = Body(self, node, frame, owner)
        function = _stub(args, name, body, frame.module.object.__dict__)
        function.__module__ = frame.module.name
        function.__qualname__ = body.title = qualified(name, frame)
        function.__defaults__ = tuple(defaults) or None
        function.__kwdefaults__ = keyword_defaults or None
        if not isinstance(node, ast.Lambda):
            function.__doc__ = ast.get_docstring(node, clean=False)
            every = [*args.posonlyargs, *args.args, args.vararg, *args.kwonlyargs, args.kwarg]
            pairs = [(arg.arg, arg.annotation) for arg in every if arg is not None]
            function.__annotations__ = {
                name: self.annotation(annotation, frame)
                for name, annotation in [*pairs, ("return", node.returns)]
                if annotation is not None
            }
        self.purity.functions.add(id(function))
        self._kept.append(function)
        return function

    def annotation(self, node: ast.expr, frame: Frame) -> Any:
        """Return an annotation: its value, or its text if it is postponed."""
        return source_text(node) if frame.module.postponed else self._attempted(node, frame)

    def _attempted(self, node: ast.expr, frame: Frame) -> Any:
        """Return the value of an expression, which is unknown if it raises."""
        try:
            return self.evaluate(node, frame)
        except Undecidable:
            raise
        except Exception as error:  # noqa: BLE001  the project's own source may raise anything
            return self.unknown(frame, node, f"raises {type(error).__name__}")

    def invoke(self, body: Body, names: dict[str, Any]) -> Any:
        """Execute a function's body."""
        node = body.node
        if body.is_suspended:
            raise Undecidable(self.unknown(body.frame, node, "is asynchronous or a generator, which is not read"))
        outer = body.frame.outer if body.frame.kind == "class" else body.frame
        frame = Frame(
            "function",
            names,
            body.frame.module,
            outer if outer is not None and outer.kind == "function" else None,
            body.elsewhere,
            body.owner,
            title=body.title,
            first=next(iter(names.values()), None),
        )
        if self._calls >= _DEEPEST_CALLS:
            raise Undecidable(self.unknown(body.frame, node, "is nested too deeply"))
        self._calls += 1
        try:
            if isinstance(node, ast.Lambda):
                return self.evaluate(node.body, frame)
            self.block(node.body, frame)
        except Return as outcome:
            return outcome.value
        finally:
            self._calls -= 1
        return None


class Body:
    """The code of a function, and where it was defined."""

    def __init__(self, reading: Functions, node: Definition | ast.Lambda, frame: Frame, owner: list[type]) -> None:
        self._reading = reading
        self.node = node
        self.frame = frame
        self.owner = owner
        self.title = ""

    # Most functions are defined and never called, so their bodies are looked at when they are.

    @functools.cached_property
    def elsewhere(self) -> dict[str, str]:
        """Name -> `global` or `nonlocal`, for the names that the function declares so."""
        places = {ast.Global: "global", ast.Nonlocal: "nonlocal"}
        return {
            name: places[type(part)]
            for part in self._own_nodes
            if isinstance(part, ast.Global | ast.Nonlocal)
            for name in part.names
        }

    @functools.cached_property
    def is_suspended(self) -> bool:
        """Whether a call makes a coroutine or a generator instead of executing the body."""
        if isinstance(self.node, ast.AsyncFunctionDef):
            return True
        return any(isinstance(part, ast.Yield | ast.YieldFrom | ast.Await) for part in self._own_nodes)

    @functools.cached_property
    def _own_nodes(self) -> tuple[ast.AST, ...]:
        return tuple(_own_nodes(self.node))

    def __call__(self, names: dict[str, Any]) -> Any:
        """Execute the code with the values of its parameters."""
        return self._reading.invoke(self, names)


def _own_nodes(node: Definition | ast.Lambda) -> Iterable[ast.AST]:
    """Yield the nodes of a function's body without those of functions and classes in it."""
    pending: list[ast.AST] = [*node.body] if not isinstance(node, ast.Lambda) else [node.body]
    while pending:
        part = pending.pop()
        yield part
        if not isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            pending += ast.iter_child_nodes(part)


def _stub(
    args: ast.arguments, name: str, body: Callable[[dict[str, Any]], Any], names: dict[str, Any]
) -> types.FunctionType:
    signature = _signature(
        tuple(arg.arg for arg in args.posonlyargs),
        tuple(arg.arg for arg in args.args),
        args.vararg.arg if args.vararg else "",
        tuple(arg.arg for arg in args.kwonlyargs),
        args.kwarg.arg if args.kwarg else "",
    )
    outer: dict[str, Any] = {}
    exec(signature, names, outer)  # noqa: S102  a function of one line, made below
    function: types.FunctionType = outer["make"](body)
    function.__name__ = name
    return function


@functools.lru_cache(maxsize=1024)
def _signature(
    positional: Sequence[str], usual: Sequence[str], rest: str, keywords: Sequence[str], others: str
) -> types.CodeType:
    parts = [*positional, *(["/"] if positional else []), *usual]
    parts += [f"*{rest}"] if rest else ["*"] if keywords else []
    parts += [*keywords, *([f"**{others}"] if others else [])]
    names = [*positional, *usual, *([rest] if rest else []), *keywords, *([others] if others else [])]
    values = ", ".join(f"{name!r}: {name}" for name in names)
    # Defaults are set afterwards, so the parameters have none here.
    text = f"def make(__body__):\n def function({', '.join(parts)}):\n  return __body__({{{values}}})\n return function"
    return compile(text, "<reading>", "exec", dont_inherit=True)


def qualified(name: str, frame: Frame) -> str:
    """Return the qualified name of a function or class that a block defines, as Python makes it."""
    if frame.kind == "module":
        return name
    prefix = f"{frame.title}.<locals>" if frame.kind == "function" else frame.names.get("__qualname__", frame.title)
    return f"{prefix}.{name}"


def source_text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return repr(node.value)
    return ast.unparse(node)
