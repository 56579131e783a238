"""What stands for a value that only running the flow's module would show, and why it would."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, Union

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import core_schema

_MOST_CAUSES = 4
"""Causes that a value keeps: a message names the first ones."""


@dataclass(frozen=True)
class Cause:
    """Why a value is unknown.

    Attributes:
        text: a clause such as `line 3 of f.py computes it when the flow is loaded`, or the name of a library.
        library: whether the text is the name of a library that is not imported.
        refused: whether Prefect would refuse the flow; the text then says what to correct.

    """

    text: str
    library: bool = False
    refused: bool = False


class Undecidable(Exception):  # noqa: N818  an outcome of reading, no mistake
    """An operation needs a value that is unknown."""

    def __init__(self, unknown: Unknown) -> None:
        super().__init__(explain(unknown.causes))
        self.unknown = unknown


class Unknown:
    """A value, class, function or module that is unknown.

    Python's own operations on it raise Undecidable, so that no list, comparison or text hides it. As an annotation it
    accepts anything and reports its causes to the schema that is generated (`causes_of_schema`).
    """

    def __init__(self, *causes: Cause) -> None:
        """Keep the causes, each of them once."""
        self.causes = tuple(dict.fromkeys(causes))[:_MOST_CAUSES]

    @classmethod
    def library(cls, name: str) -> Unknown:
        """Return something that comes from a library which is not imported."""
        return cls(Cause(name, library=True))

    @classmethod
    def because(cls, text: str) -> Unknown:
        """Return a value that is unknown for a reason that a clause gives."""
        return cls(Cause(text))

    def _undecidable(self, *_: object, **__: object) -> NoReturn:
        raise Undecidable(self)

    __bool__ = __len__ = __iter__ = __next__ = __contains__ = __reversed__ = _undecidable
    __lt__ = __le__ = __gt__ = __ge__ = __ne__ = _undecidable
    __int__ = __float__ = __index__ = __complex__ = __round__ = __abs__ = __neg__ = __pos__ = __invert__ = _undecidable
    __add__ = __radd__ = __mul__ = __rmul__ = __sub__ = __rsub__ = __mod__ = __rmod__ = __and__ = __rand__ = (
        _undecidable
    )
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __pow__ = __rpow__ = __xor__ = __rxor__ = _undecidable
    __setitem__ = __delitem__ = __enter__ = __exit__ = __reduce_ex__ = _undecidable
    __str__ = __repr__ = __format__ = __bytes__ = __fspath__ = _undecidable

    def __eq__(self, other: object) -> bool:
        """Compare by identity with types, because `typing` compares the members of a union."""
        if other is self:
            return True
        if isinstance(other, type | Unknown) or type(other).__module__ in ("typing", "types"):
            return False
        raise Undecidable(self)

    def __hash__(self) -> int:
        """Return a hash by identity."""
        return id(self)

    def __getattr__(self, name: str) -> Any:
        """Return what an attribute of the unknown value is: as unknown as the value."""
        if name.startswith("__") or name == "causes":
            raise AttributeError(name)
        return self

    def __getitem__(self, _: object) -> Any:
        """Return an item, as unknown as the value."""
        return self

    def __call__(self, *_: object, **__: object) -> Any:
        """Return the result of a call, as unknown as the function."""
        return self

    def __or__(self, other: Any) -> Any:
        """Return the union of two types."""
        return Union[self, other]  # noqa: UP007  the operator would ask this method again

    def __ror__(self, other: Any) -> Any:
        """Return the union of two types."""
        return Union[other, self]  # noqa: UP007

    def __copy__(self) -> Unknown:
        """Return itself: pydantic copies defaults."""
        return self

    def __deepcopy__(self, _: object) -> Unknown:
        """Return itself: pydantic copies defaults."""
        return self

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Accept anything as a type; as metadata in `Annotated`, change nothing."""
        return core_schema.any_schema() if source is self else handler(source)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Report the causes to the schema that is being generated."""
        causes_of_schema.update(dict.fromkeys(self.causes))
        return handler(schema)


class Decorated(Unknown):
    """A function or flow that a decorator of a library has replaced by something unknown.

    Attributes:
        inner: the function or flow that was decorated.

    """

    def __init__(self, inner: Any, *causes: Cause) -> None:
        """Keep the function beside the causes."""
        super().__init__(*causes)
        self.inner = inner


causes_of_schema: dict[Cause, None] = {}
"""Why parts of the JSON schema that is being generated are unknown."""


def explain(causes: Iterable[Cause]) -> str:
    """Return the clause that follows `because`."""
    causes = list(dict.fromkeys(causes))
    libraries = sorted({cause.text for cause in causes if cause.library})
    clauses = [f"only an import of {', '.join(libraries)} would show it"] if libraries else []
    clauses += [cause.text for cause in causes if not cause.library][:2]
    return " and ".join(clauses)
