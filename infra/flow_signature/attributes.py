"""Reads attributes: those of modules only if every machine has the same."""

from __future__ import annotations

import ast
import enum
import types
from abc import abstractmethod
from typing import Any, Final

from infra.flow_signature.machine import Frame, Machine

_MACHINES: Final = frozenset({("os", "environ"), ("os", "environb"), ("time", "timezone"), ("time", "tzname")})
_SYSTEM: Final = frozenset(["argv", "path", "executable", "prefix", "base_prefix", "exec_prefix", "flags", "orig_argv"])
LOADER: Final = frozenset({"__spec__", "__loader__", "__cached__"})
"""Names of a module that Python's own loader sets."""
_OPEN: Final = frozenset({"typing", "typing_extensions", "pydantic", "pydantic_core", "annotated_types", "__future__"})
"""Libraries of which any attribute is usable."""


class Attributes(Machine):
    """Reads attributes."""

    def attribute(self, owner: Any, name: str, frame: Frame, node: ast.AST) -> Any:
        """Return an attribute, which is unknown if it depends on the machine or the moment."""
        if isinstance(owner, types.ModuleType):
            top = owner.__name__.partition(".")[0]
            if (top, name) == ("sys", "modules"):
                return self.loaded_modules()
            if name in LOADER and self.is_read(owner):
                return self.unknown(frame, node, f"reads {name}, which only running it would show")
            if (top, name) in _MACHINES or (top == "sys" and name in _SYSTEM):
                return self.unknown(frame, node, f"reads {top}.{name}, which another machine may have otherwise")
            value = getattr(owner, name)
            if not self.is_read(owner) and top not in _OPEN and not _is_stable(value):
                return self.unknown(frame, node, f"reads {top}.{name}, which only running it would show")
            return self.known(value)
        return self.known(getattr(owner, name))

    @abstractmethod
    def loaded_modules(self) -> Any:
        """Return `sys.modules` as far as it holds modules that are read."""

    def is_read(self, module: types.ModuleType) -> bool:
        """Whether a module object stands for a file that is read, or for Prefect."""
        return getattr(module, "__spec__", None) is None


def _is_stable(value: Any) -> bool:
    """Whether an attribute of a module of the standard library is the same whenever and wherever it is read."""
    if value is None or callable(value) or isinstance(value, types.ModuleType | enum.Enum):
        return True
    return isinstance(value, bool | int | float | complex | str | bytes | tuple | frozenset)
