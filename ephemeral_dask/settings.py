"""How large a run's Dask cluster is. `ephemeral_dask.precedence` says which source decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ephemeral_dask import precedence
from ephemeral_dask.contract import knobs, pods
from ephemeral_dask.contract.pods import PodExtras
from ephemeral_dask.contract.profiles import Profile
from ephemeral_dask.contract.quantities import memory_bytes
from ephemeral_dask.precedence import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ephemeral_dask.contract.knobs import Knob
    from ephemeral_dask.precedence import Value

__all__ = ["CodeSizes", "DaskSettings", "SettingsError", "Worker"]


@dataclass(frozen=True, kw_only=True)
class CodeSizes:
    """The arguments of `ephemeral_dask(...)`; None for those that are left out.

    Raises:
        SettingsError: an argument cannot be used, or the maximum is below the minimum.

    """

    minimum: int | None = None
    maximum: int | None = None
    worker_cpu: str | float | None = None
    worker_memory: str | int | None = None
    worker_threads: int | None = None
    idle_timeout: int | None = None
    start_timeout: int | None = None
    scaling: str | None = None
    report: str | None = None
    restarts: int | None = None
    profile: str | None = None

    def __post_init__(self) -> None:
        _ = self.values
        if error := knobs.order_error(self.minimum, self.maximum):
            raise SettingsError(f"The sizes of ephemeral_dask() contradict each other: {error}.")

    @property
    def values(self) -> dict[Knob, Value]:
        """The sizes that are not None."""
        values = {knob: getattr(self, knob.argument) for knob in knobs.SIZES}
        return {
            knob: precedence.check(knob, value, precedence.argument(knob))
            for knob, value in values.items()
            if value is not None
        }


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One worker pod. Fields that `DaskSettings` and `Profile` have as well mean the same as there.

    Attributes:
        kind: the field of `RunPods` with the stack's additions.
        pod: the profile's additions to those.
        takes_large: whether large tasks may run on it.

    """

    cpu: str
    memory: str
    threads: int
    nanny: bool
    kind: Literal["worker", "common"]
    pod: PodExtras
    takes_large: bool

    @property
    def memory_bytes(self) -> int:
        return memory_bytes(self.memory)


@dataclass(frozen=True, kw_only=True)
class DaskSettings:
    """The size of one run's Dask cluster.

    Attributes:
        minimum: never fewer workers, once work has begun.
        maximum: workers at most; equal to `minimum` means a fixed size.
        worker_cpu: CPU request of a worker, a Kubernetes quantity.
        worker_memory: memory request and limit of a worker, a Kubernetes quantity.
        worker_threads: tasks that a worker runs at the same time.
        idle_timeout: seconds without a task after which the operator deletes the cluster.
        start_timeout: seconds until the first worker has joined, or the run fails with the cause.
        scaling: how eagerly workers are added: `fast` or `cheap`.
        report: `html` writes Dask's performance report into the result storage when the run ends.
        restarts: new Dask clusters that the run may start when it loses its own.
        profile: what the profile says beyond sizes.
        profile_name: its name, or empty.
        warnings: a sentence for each value that gave way to another one, for the run's log.

    """

    minimum: int
    maximum: int
    worker_cpu: str
    worker_memory: str
    worker_threads: int
    idle_timeout: int
    start_timeout: int
    scaling: str
    report: str
    restarts: int
    profile: Profile = field(default_factory=Profile)
    profile_name: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def first_workers(self) -> int:
        """Workers at the start: one at least, which shows that a worker can start, even where none is kept."""
        return max(1, self.minimum)

    @property
    def worker(self) -> Worker:
        """An ordinary worker. Where there are no large workers it takes large tasks too, which would never run."""
        return Worker(
            cpu=self.worker_cpu,
            memory=self.worker_memory,
            threads=self.worker_threads,
            nanny=self.profile.nanny,
            kind="worker",
            pod=self.profile.pod,
            takes_large=self.profile.large is None,
        )

    @property
    def large_worker(self) -> Worker | None:
        """A worker of the second group, or None when the profile has no such group."""
        large = self.profile.large
        if large is None:
            return None
        return Worker(
            cpu=large.cpu,
            memory=large.memory,
            threads=large.threads,
            nanny=self.profile.nanny,
            kind="common",
            pod=pods.merged(self.profile.pod.shared(), large.pod),
            takes_large=True,
        )

    @property
    def most_workers(self) -> int:
        """Workers of both groups at most."""
        return self.maximum + (self.profile.large.maximum if self.profile.large else 0)

    @classmethod
    def from_env(cls, environ: Mapping[str, str], code: CodeSizes) -> DaskSettings:
        """Resolve every size from the flow pod's environment and the arguments in code.

        Raises:
            SettingsError: naming the variable, its value and the remedy.

        """
        resolution = precedence.resolve(environ, code.values, code.profile)
        sizes: dict[str, Any] = {knob.argument: value for knob, value in resolution.values.items()}
        return cls(
            **sizes,
            profile=resolution.profile,
            profile_name=resolution.profile_name,
            warnings=resolution.warnings,
        )
