"""What a stack pays for the resources of its pods."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from ephemeral_dask.contract import prices
from infra.settings.types import Model

Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Prices(Model):
    """What the summary of a run multiplies with the requests of its pods."""

    core_hour: Price = 0.0
    """Of one core for an hour."""
    gib_hour: Price = 0.0
    """Of one GiB of memory for an hour."""
    gpu_hour: Price = 0.0
    """Of one GPU for an hour: an extended resource with `gpu` after the slash of its name."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "USD"
    """Three letters, as in ISO 4217."""

    @model_validator(mode="after")
    def _has_a_price(self) -> Prices:
        if not (self.core_hour or self.gib_hour or self.gpu_hour):
            raise ValueError("has no price above zero: set coreHour, gibHour or gpuHour, or remove the section")
        return self

    def contract(self) -> prices.Prices:
        """Return it in the form that flow pods read."""
        return prices.Prices(**self.model_dump())
