"""Calls that import a module, or forget what one holds."""

from __future__ import annotations

import importlib
import importlib.util
import types
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

from infra.flow_signature.comprehensions import Comprehensions
from infra.flow_signature.unknown import Undecidable, Unknown

_IMPORTING: Final = (importlib.import_module, __import__)


class ImportCalls(Comprehensions):
    """Evaluates `importlib.import_module`, `__import__` and `importlib.reload`."""

    @abstractmethod
    def _module(self, name: str) -> types.ModuleType | Unknown:
        """Return a module by its dotted name."""

    def imports(self, function: Any) -> bool:
        """Whether a call of a function imports a module."""
        return any(function is each for each in _IMPORTING)

    def imported(self, function: Any, arguments: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        """Return the module that a call imports, as the statement would.

        Raises:
            Undecidable: the name is unknown, or the call has options that are not read.

        """
        options = {**dict(zip(("name", "package"), arguments, strict=False)), **keywords}
        if causes := self.causes(options):
            raise Undecidable(Unknown(*causes))
        if function is not __import__:
            return self._module(importlib.util.resolve_name(options["name"], options.get("package")))
        if set(options) != {"name"}:
            raise Undecidable(Unknown.because("it calls __import__ with options"))
        module = self._module(options["name"])
        return module if isinstance(module, Unknown) else self._module(options["name"].partition(".")[0])

    def change(self, function: Any, values: Sequence[Any], unknown: Unknown) -> None:
        """Mark what a call that is not read may change: its arguments, and the object that it belongs to."""
        for value in [*values, getattr(function, "__self__", None)]:
            module = isinstance(value, types.ModuleType)
            if function is importlib.reload and module and self.is_read(value):
                self.lose_names(value, unknown)
            elif not module and not callable(value):
                self.alter(value, unknown)

    def lose_names(self, module: types.ModuleType, unknown: Unknown) -> None:
        """Mark all names of a module as unknown."""
        for name in [name for name in module.__dict__ if not name.startswith("__")]:
            self.write(module.__dict__, name, unknown)
