"""Properties as they come through the engine."""

from __future__ import annotations

import asyncio
from typing import Any

from pulumi.runtime import rpc


def marshalled(props: dict[str, Any]) -> dict[str, Any]:
    """Return properties as the provider's process gets them."""
    # A loop of its own: asyncio.run would leave the thread without the one that Pulumi's mocks look for.
    loop = asyncio.new_event_loop()
    try:
        struct = loop.run_until_complete(rpc.serialize_properties(props, {}))
    finally:
        loop.close()
    received: dict[str, Any] = rpc.deserialize_properties(struct, keep_unknowns=True)
    return received
