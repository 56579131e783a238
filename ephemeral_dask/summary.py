"""What a run's summary says: what its cluster was and did, what was asked for and used, and the next size. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ephemeral_dask import proposal
from ephemeral_dask.contract import knobs
from ephemeral_dask.contract.quantities import cores
from ephemeral_dask.groups import LARGE, ORDINARY
from ephemeral_dask.proposal import Asked, memory, percent
from ephemeral_dask.spec import NANNY_SHARE

if TYPE_CHECKING:
    from ephemeral_dask.costs import Costs
    from ephemeral_dask.settings import DaskSettings, Worker
    from ephemeral_dask.usage import GroupUsage, Usage


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What there is to say about a run's Dask cluster.

    Attributes:
        settings: how large it might become.
        started: seconds until it was up.
        usage: what it did.
        losses: why each cluster of the run was lost that was; all else but the costs is about the last one.
        costs: what the run cost; None where the stack has no prices.
        report: where the performance report is, or empty.
        here: whether the cluster was one of processes on this machine.

    """

    settings: DaskSettings
    started: float
    usage: Usage
    losses: Sequence[str] = ()
    costs: Costs | None = None
    report: str = ""
    here: bool = False

    @property
    def line(self) -> str:
        """The summary in one line."""
        return "; ".join(f"{name} {value}" for name, value in {**self._facts(), **self._used()}.items())

    @property
    def markdown(self) -> str:
        """The summary as tables, with the sizes that are proposed for the next run."""
        facts = [f"| {name} | {_cell(value)} |" for name, value in self._facts().items()]
        used = [f"| {name} | {asked} | {use} |" for name, (asked, use) in self.comparison().items()]
        next_sizes = [f"- {each}" for each in self.next_sizes()] or ["- What was asked for fits what was used."]
        return "\n".join(
            [
                *("| Dask cluster | |", "|---|---|", *facts, ""),
                *("| | asked for | used |", "|---|---|---|", *used, ""),
                *("**Next size**", "", *next_sizes),
            ]
        )

    def next_sizes(self) -> list[str]:
        """Return a sentence for each size that the next run should ask for instead."""
        sentences = [
            sentence
            for asked, used in self.groups()
            for sentence in proposal.next_sizes(asked, used, deaths=self.usage.deaths)
        ]
        settings = self.settings
        if not self.here:
            adaptive = settings.maximum > settings.minimum
            used = self._of(ORDINARY)
            sentences += proposal.fewer_workers(
                used, minimum=settings.minimum, scaling=settings.scaling, adaptive=adaptive
            )
        return sentences

    def comparison(self) -> dict[str, tuple[str, str]]:
        """Return what a row is about -> what was asked for, and what was used."""
        rows: dict[str, tuple[str, str]] = {}
        for asked, used in self.groups():
            largest = f"{memory(used.memory_peak)} by the largest" if used.memory_peak else "not reported"
            rows[f"{asked.who} memory"] = (asked.memory_text, largest)
            average = used.cpu_seconds / used.seconds if used.seconds else 0.0
            rows[f"{asked.who} CPU"] = (
                asked.cpu_text,
                f"{average:.2f} cores on average, {used.cpu_usual:.2f} usually when busy, {used.cpu_peak:.2f} at most",
            )
            idle = f"{used.idle_seconds:.0f} s without a task ({percent(used.idle_seconds, used.seconds)})"
            rows[f"{asked.who} time"] = (f"{used.seconds:.0f} s", idle)
        rows["results on disk"] = ("none", f"{memory(self.usage.spilled)} spilled" if self.usage.spilled else "none")
        pods = "none on this machine" if self.here else f"{self.started + self.usage.waited:.0f} s waited for them"
        rows["pods"] = ("at once", pods)
        return rows

    def groups(self) -> list[tuple[Asked, GroupUsage]]:
        """Return what the workers of each size were given, and what they used."""
        used = self._of(ORDINARY)
        if self.here:
            return [(_here(used), used)]
        groups = [(_asked("worker", self.settings.worker, used, *_KEYS), used)]
        if (large := self.settings.large_worker) is not None and (of_large := self._of(LARGE)).seconds:
            prefix = f"dask.profiles.{self.settings.profile_name}.largeWorkers"
            groups.append((_asked("large worker", large, of_large, f"{prefix}.memory", f"{prefix}.cpu"), of_large))
        return groups

    def _facts(self) -> dict[str, str]:
        settings, usage = self.settings, self.usage
        threads = "1 thread" if settings.worker_threads == 1 else f"{settings.worker_threads} threads"
        size = f"{settings.worker_cpu} CPU, {settings.worker_memory}, {threads}"
        facts = {
            "profile": settings.profile_name or "none",
            "start": f"{self.started:.1f} s",
            "life": f"{usage.seconds:.0f} s",
            "workers": f"{settings.minimum} to {settings.maximum}, {usage.peak} at the peak",
            "worker": f"a process on this machine, {threads}" if self.here else size,
            "worker-seconds": f"{usage.worker_seconds:.0f}",
            "tasks": str(usage.tasks),
            "tasks run again": str(usage.again),
        }
        if usage.deaths:
            facts["workers lost"] = str(usage.deaths)
        if self.report:
            facts["performance report"] = self.report
        if self.losses:
            facts["clusters lost"] = f"{len(self.losses)}; {'; '.join(self.losses)}"
        if self.costs:
            facts["cost"] = str(self.costs)
        return facts

    def _used(self) -> dict[str, str]:
        memory_rows = {name: row for name, row in self.comparison().items() if name.endswith(" memory")}
        return {name: f"{used} of {asked}" for name, (asked, used) in memory_rows.items()}

    def _of(self, group: str) -> GroupUsage:
        return self.usage.group(group, only=self.settings.large_worker is None or self.here)


_KEYS = (knobs.WORKER_MEMORY.name, knobs.WORKER_CPU.name)


def _asked(who: str, worker: Worker, used: GroupUsage, memory_key: str, cpu_key: str) -> Asked:
    size = worker.memory_bytes
    return Asked(
        who=who,
        memory=size,
        memory_text=worker.memory,
        outside=size - used.memory_limit if 0 < used.memory_limit < size else NANNY_SHARE,
        memory_key=memory_key,
        cpu=cores(worker.cpu),
        cpu_text=worker.cpu,
        cpu_key=cpu_key,
    )


def _here(used: GroupUsage) -> Asked:
    """Return what a process on this machine was given: nothing was requested, and Dask has shared the memory out."""
    return Asked(
        who="worker",
        memory=used.memory_limit,
        memory_text=memory(used.memory_limit) if used.memory_limit else "this machine's",
        outside=NANNY_SHARE,
        memory_key=_KEYS[0],
        cpu=0.0,
        cpu_text="this machine's",
        cpu_key=_KEYS[1],
        here=True,
    )


def _cell(value: str) -> str:
    return value.replace("|", "/")
