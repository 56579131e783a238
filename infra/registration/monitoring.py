"""Whether a cluster has the kinds of the Prometheus operator."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from infra.registration.kubernetes import call
from infra.registration.references import Lookup, ask

_VERSION: Final = "monitoring.coreos.com/v1"


def look_up(kinds: Collection[str], context: str | None) -> Lookup:
    """Return an error if the cluster does not have all of these kinds.

    Args:
        kinds: of the objects that the stack has; nothing is asked without one.
        context: kubeconfig context; the current one if None.

    """
    if not kinds:
        return Lookup()

    async def work(api: Any) -> Lookup:
        served = await call(api, "GET", version=_VERSION, base="/apis") or {"resources": []}
        missing = sorted(set(kinds) - {each["kind"] for each in served["resources"]})
        if not missing:
            return Lookup()
        text = (
            f"monitoring asks for {', '.join(missing)}, and the cluster has no such kind in {_VERSION}, so Pulumi"
            " cannot create the objects: install the CRDs of the Prometheus operator, or set `monitors` and `alerts`"
            " of `monitoring` to false"
        )
        return Lookup(errors=(text,))

    note = "Whether the cluster has the kinds of the Prometheus operator could not be found out."
    return ask("Could not ask for the kinds of the Prometheus operator", context, work, note=note)
