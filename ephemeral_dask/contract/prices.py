"""What a stack pays for its nodes: `infra` writes it for flow pods, whose runs tell what they cost."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices of what pods request.

    Attributes:
        core_hour: of one core for an hour.
        gib_hour: of one GiB of memory for an hour.
        gpu_hour: of one GPU for an hour.
        currency: ISO 4217 code, such as EUR.

    """

    core_hour: float = 0.0
    gib_hour: float = 0.0
    gpu_hour: float = 0.0
    currency: str = "USD"


def encode(prices: Prices) -> str:
    """Write prices as the value of one environment variable."""
    return json.dumps(asdict(prices), sort_keys=True)


def decode(text: str) -> Prices:
    """Read what `encode` wrote.

    Raises:
        ValueError: it is something else.

    """
    try:
        values = json.loads(text)
        return Prices(
            **{name: str(value) if name == "currency" else float(value) for name, value in values.items()}  # type: ignore[arg-type]
        )
    except (AttributeError, TypeError) as error:
        raise ValueError(f"it must be a mapping of prices ({error})") from None
