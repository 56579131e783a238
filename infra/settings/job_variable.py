"""Job variables of a work pool's own."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from infra.flow_signature.validate import schema_error
from infra.settings.types import Model

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def _variable_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        message = f"name '{name}': use up to 63 lower-case letters, digits and underscores, and begin with a letter"
        raise ValueError(message)
    return name


VariableName = Annotated[str, AfterValidator(_variable_name)]


class JobVariable(Model):
    """A job variable that patches of the pool's pods use as `{{ name }}`."""

    type: Literal["string", "integer", "number", "boolean", "object", "array"] = "string"
    default: Any = None
    """Its value unless a deployment or a run sets another; a field that is only this placeholder is left out without
    one."""
    title: str | None = None
    description: str | None = None
    enum: tuple[Any, ...] = Field(default=(), strict=False)
    """The values that it may have; any of its type when empty."""
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    """Regular expression that a string must match."""

    @model_validator(mode="after")
    def _default_fits(self) -> JobVariable:
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                message = f"pattern is not a regular expression: {error}"
                raise ValueError(message) from None
        schema = self.model_copy(update={"default": None}).contract()
        for key, values in (("default", () if self.default is None else (self.default,)), ("enum", self.enum)):
            for value in values:
                if mismatch := schema_error(value, schema, schema):
                    message = f"{key} {mismatch}"
                    raise ValueError(message)
        return self

    def contract(self) -> dict[str, Any]:
        """Return it as a JSON schema, as a work pool's template has it."""
        schema = self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"enum"})
        return {**schema, **({"enum": list(self.enum)} if self.enum else {})}
