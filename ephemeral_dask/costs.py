"""What the pods of a run cost: what they request, for as long as they are there. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ephemeral_dask.contract.quantities import amount

if TYPE_CHECKING:
    from ephemeral_dask.contract.prices import Prices

_HOUR: Final = 3600
_GIB: Final = 2**30
_GPU: Final = "gpu"
"""What the name of an extended resource contains that is a GPU: `nvidia.com/gpu`, `amd.com/gpu`."""

FLOW: Final = "flow pod"
SCHEDULER: Final = "scheduler"
WORKERS: Final = "workers"


@dataclass(frozen=True, kw_only=True)
class Requests:
    """What a pod requests: cores, GiB of memory, GPUs."""

    cores: float = 0.0
    gib: float = 0.0
    gpus: float = 0.0

    @classmethod
    def of(cls, pod: Mapping[str, Any]) -> Requests:
        """Read the spec of a pod: its containers and sidecars together, or its largest init container."""
        first = pod.get("initContainers") or ()
        lasting = [*pod.get("containers", ()), *(one for one in first if one.get("restartPolicy") == "Always")]
        parts = [_of_container(one) for one in lasting]
        total = cls(**{name: sum(getattr(part, name) for part in parts) for name in _NAMES})
        candidates = [total, *(_of_container(one) for one in first)]
        return cls(**{name: max(getattr(each, name) for each in candidates) for name in _NAMES})

    def cost(self, seconds: float, prices: Prices) -> float:
        """Return what a pod costs that is there for so long."""
        hourly = self.cores * prices.core_hour + self.gib * prices.gib_hour + self.gpus * prices.gpu_hour
        return hourly * seconds / _HOUR


_NAMES: Final = ("cores", "gib", "gpus")


@dataclass(frozen=True, kw_only=True)
class Share:
    """A part of a run's cost.

    Attributes:
        name: `FLOW`, `SCHEDULER` or `WORKERS`.
        requests: of one pod.
        seconds: sum of the lives of all such pods.

    """

    name: str
    requests: Requests
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a run cost.

    Attributes:
        parts: `FLOW`, `SCHEDULER` or `WORKERS` -> what it cost.
        currency: ISO 4217 code.

    """

    parts: Mapping[str, float]
    currency: str

    @classmethod
    def of(cls, shares: Iterable[Share], prices: Prices) -> Costs:
        parts: dict[str, float] = {}
        for share in shares:
            parts[share.name] = parts.get(share.name, 0.0) + share.requests.cost(share.seconds, prices)
        return cls(parts=parts, currency=prices.currency)

    @property
    def total(self) -> float:
        return sum(self.parts.values())

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {money(cost)}" for name, cost in self.parts.items())
        left_out = "" if FLOW in self.parts else "; without the flow pod, which Kubernetes did not describe"
        return f"{money(self.total)} {self.currency} ({parts}{left_out})"


def of_flow_pod(pod: Mapping[str, Any] | None, now: datetime) -> Share | None:
    """Return the share of the flow pod since it was given to a node; None for a pod that is not known."""
    started = (pod or {}).get("status", {}).get("startTime")
    if pod is None or not started:
        return None
    seconds = (now.astimezone(UTC) - datetime.fromisoformat(started)).total_seconds()
    return Share(name=FLOW, requests=Requests.of(pod["spec"]), seconds=max(0.0, seconds))


def money(value: float) -> str:
    """Return a price with two decimals, or two significant digits below one."""
    return f"{value:.2f}" if value >= 1 or not value else f"{value:.{_decimals(value)}f}"


def _decimals(value: float) -> int:
    decimals = 2
    while value < 0.1 and decimals < 8:
        value *= 10
        decimals += 1
    return decimals


def _of_container(container: Mapping[str, Any]) -> Requests:
    resources = container.get("resources") or {}
    # A limit without a request is the request as well.
    requests = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    gpus = [value for name, value in requests.items() if "/" in name and _GPU in name.rpartition("/")[2]]
    return Requests(
        cores=amount(requests.get("cpu", 0)),
        gib=amount(requests.get("memory", 0)) / _GIB,
        gpus=sum(amount(value) for value in gpus),
    )
