"""Reads the values of one deployment and records every mistake with its file, line, deployment and key."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from infra.prefect_yaml import values
from infra.prefect_yaml.document import Document, Place
from infra.prefect_yaml.keys import ignored


class Reader:
    """The values of one deployment.

    A method that reads a wrong value records an error and returns the default, so that one look at the errors shows all
    of a file.

    Args:
        document: the file.
        place: the deployment's place in it.
        raw: the deployment's values.

    Attributes:
        values: the deployment's values; the caller replaces them once placeholders are filled in.

    """

    def __init__(self, document: Document, place: Place, raw: Mapping[str, Any]) -> None:
        self.values = raw
        self._document = document
        self._place = place
        name = raw.get("name")
        self._title = f"deployment '{name}'" if isinstance(name, str) else f"deployment {int(place[-1]) + 1}"

    @property
    def location(self) -> str:
        """`<file>:<line>` of the deployment."""
        return self._document.at(self._place)

    def error(self, place: Place, message: str) -> None:
        """Record what is wrong at a place within the deployment, with its remedy."""
        self._document.error((*self._place, *place), f"{self._title}: {message}")

    def warning(self, place: Place, message: str) -> None:
        """Warn about something at a place within the deployment."""
        self._document.warning((*self._place, *place), f"{self._title}: {message}")

    def text(self, key: str, *, within: str = "") -> str | None:
        """Return a value as text; numbers and dates count as text.

        Args:
            key: of the value.
            within: key of the mapping that has it, where it is not the deployment itself.

        """
        holder = self.values.get(within) if within else self.values
        value = holder.get(key) if isinstance(holder, Mapping) else None
        if isinstance(value, dict | list):
            self.error((within, key) if within else (key,), f"{key} must be text; write a word")
            return None
        return None if value is None else str(value)

    def boolean(self, key: str) -> bool | None:
        """Return true, false, or None for a missing value."""
        try:
            return values.boolean(key, self.values.get(key))
        except ValueError as error:
            self.error((key,), str(error))
            return None

    def sequence(self, key: str, example: str) -> list[Any]:
        """Return a list, which is empty for a missing value.

        Args:
            key: of the value.
            example: of an item, for the error message.

        """
        value = self.values.get(key) or []
        if not isinstance(value, list):
            self.error((key,), f"{key} must be a list; write `- {example}` below it")
            return []
        return value

    def mapping(self, key: str, *, within: str = "", known: Collection[str] = ()) -> dict[str, Any]:
        """Return a mapping, which is empty for a missing value.

        Args:
            key: of the value.
            within: key of the mapping that has it, where it is not the deployment itself.
            known: the keys that have an effect in it; any if empty.

        """
        place: Place = (within, key) if within else (key,)
        holder = self.values.get(within) if within else self.values
        try:
            section = values.mapping(key, holder.get(key)) if isinstance(holder, Mapping) else {}
        except ValueError as error:
            self.error(place, str(error))
            return {}
        for name in section if known else ():
            if name not in known:
                self.warning((*place, name), ignored(str(name), key))
        return section
