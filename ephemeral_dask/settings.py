"""How large a run's Dask cluster is, and who said so.

The voices, the strongest first: the run or its deployment (job variables of the work pool), the profile that it
names, the argument in the flow's code, the profile that the code names, the stack's default, the default written
here. The stack's ceiling bounds them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import knobs, profiles
from ephemeral_dask.contract.profiles import Profile
from ephemeral_dask.contract.quantities import memory_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ephemeral_dask.contract.knobs import Knob

_VOICES: Final = (
    "the run or its deployment",
    "the profile that the run or its deployment names",
    "the flow's code",
    "the profile that the flow's code names",
    "the stack's default",
    "the built-in default",
)


class SettingsError(ValueError):
    """A size that cannot be used. The message says which, why, and what to write instead."""


@dataclass(frozen=True, kw_only=True)
class CodeSizes:
    """What the flow's author wrote in `ephemeral_dask(...)`; None where nothing was written.

    Raises:
        SettingsError: an argument cannot be used, or the maximum is below the minimum.

    """

    minimum: int | None = None
    maximum: int | None = None
    worker_cpu: str | None = None
    worker_memory: str | None = None
    worker_threads: int | None = None
    idle_timeout: int | None = None
    start_timeout: int | None = None
    scaling: str | None = None
    report: str | None = None
    profile: str | None = None

    def __post_init__(self) -> None:
        for variable in knobs.SIZES:
            value = self.get(variable)
            if value is not None:
                _checked(variable, value, f"{variable.argument}= of ephemeral_dask()")
        if self.minimum is not None and self.maximum is not None and self.maximum < self.minimum:
            raise SettingsError(
                f"ephemeral_dask() asks for maximum={self.maximum} workers, below its minimum={self.minimum}:"
                " raise the maximum or lower the minimum."
            )

    def get(self, variable: Knob) -> int | str | None:
        value: int | str | None = getattr(self, variable.argument)
        return value


@dataclass(frozen=True, kw_only=True)
class Worker:
    """One worker pod, in the words of `DaskSettings` and `Profile`.

    Attributes:
        takes_large: whether large tasks may run on it.

    """

    cpu: str
    memory: str
    threads: int
    nanny: bool
    env: Mapping[str, str]
    tolerations: tuple[Mapping[str, Any], ...]
    node_selector: Mapping[str, str]
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
        profile: what the chosen profile says beyond sizes.
        profile_name: its name, or empty.
        remarks: what was changed against the wish of someone, a sentence each, for the run's log.

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
    profile: Profile = field(default_factory=Profile)
    profile_name: str = ""
    remarks: tuple[str, ...] = ()

    @property
    def first_workers(self) -> int:
        """Workers at the start: one at least, which shows that a worker can start, even where none is kept."""
        return max(1, self.minimum)

    @property
    def worker(self) -> Worker:
        """An ordinary worker. Where there are no large ones it takes their tasks too, or those would wait for ever."""
        return Worker(
            cpu=self.worker_cpu,
            memory=self.worker_memory,
            threads=self.worker_threads,
            nanny=self.profile.nanny,
            env=self.profile.env,
            tolerations=self.profile.tolerations,
            node_selector=self.profile.node_selector,
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
            env={**self.profile.env, **large.env},
            tolerations=large.tolerations,
            node_selector=large.node_selector,
            takes_large=True,
        )

    @classmethod
    def from_env(cls, environ: Mapping[str, str], code: CodeSizes) -> DaskSettings:
        """Resolve every size from the flow pod's environment and the arguments in code.

        Raises:
            SettingsError: naming the variable, its value and the remedy.

        """
        named = _named_profile(environ, code)
        chosen = {variable: _choose(variable, environ, code, named) for variable in knobs.SIZES}
        remarks: list[str] = []
        _apply_ceiling(chosen, environ, remarks)
        _reconcile(chosen, remarks)
        return cls(
            minimum=int(chosen[knobs.MINIMUM].value),
            maximum=int(chosen[knobs.MAXIMUM].value),
            worker_cpu=str(chosen[knobs.WORKER_CPU].value),
            worker_memory=str(chosen[knobs.WORKER_MEMORY].value),
            worker_threads=int(chosen[knobs.WORKER_THREADS].value),
            idle_timeout=int(chosen[knobs.IDLE_TIMEOUT].value),
            start_timeout=int(chosen[knobs.START_TIMEOUT].value),
            scaling=str(chosen[knobs.SCALING].value),
            report=str(chosen[knobs.REPORT].value),
            profile=named.profile,
            profile_name=named.name,
            remarks=tuple(remarks),
        )


@dataclass(frozen=True)
class _Choice:
    value: int | str
    voice: int
    where: str


@dataclass(frozen=True)
class _Named:
    """The profile that somebody chose, with the voice of who did; without a name, an empty one."""

    name: str
    profile: Profile
    voice: int


def _named_profile(environ: Mapping[str, str], code: CodeSizes) -> _Named:
    name, voice, where = code.profile or "", 3, "profile= of ephemeral_dask()"
    if asked := environ.get(knobs.PROFILE.variable):
        name, voice = asked, 1
        where = f"job variable {knobs.PROFILE.name} ({knobs.PROFILE.variable})"
    text = environ.get(env.PROFILES)
    if not name or text is None:  # outside Kubernetes there are no profiles, and a flow that names one still runs
        return _Named("", Profile(), voice)
    try:
        known = profiles.decode(text)
    except ValueError as error:
        raise SettingsError(
            f"{env.PROFILES} cannot be read: {error}. It is set by the work pool's base job template: run the "
            "deployment through that pool, unchanged."
        ) from None
    if name not in known:
        raise SettingsError(profiles.unknown(name, known, where))
    return _Named(name, known[name], voice)


def _choose(variable: Knob, environ: Mapping[str, str], code: CodeSizes, named: _Named) -> _Choice:
    if text := environ.get(variable.variable):
        where = f"job variable {variable.name} ({variable.variable})"
        return _Choice(_parsed(variable, text, where), 0, where)
    offers = []
    if (written := code.get(variable)) is not None:
        offers.append(_Choice(written, 2, f"{variable.argument}= of ephemeral_dask()"))
    if (held := named.profile.sizes.get(variable.argument)) is not None:
        where = f"profile {named.name}"
        offers.append(_Choice(_checked(variable, held, where), named.voice, where))
    if offers:
        return min(offers, key=lambda offer: offer.voice)
    if text := environ.get(variable.default_variable):
        where = f"the stack's default ({variable.default_variable})"
        return _Choice(_parsed(variable, text, where), 4, where)
    return _Choice(variable.default, 5, "the built-in default")


def _parsed(variable: Knob, text: str, where: str) -> int | str:
    if variable.type == "string":
        return _checked(variable, text, where)
    try:
        number = int(text)
    except ValueError:
        raise SettingsError(
            f"{variable.title} is {text!r} from {where}, which is no whole number: write one, such as "
            f"{variable.default}."
        ) from None
    return _checked(variable, number, where)


def _checked(variable: Knob, value: int | str, where: str) -> int | str:
    try:
        variable.check(value)
    except ValueError as error:
        raise SettingsError(f"{variable.title} is {value!r} from {where}: it {error}.") from None
    return value


def _apply_ceiling(chosen: dict[Knob, _Choice], environ: Mapping[str, str], remarks: list[str]) -> None:
    text = environ.get(env.CEILING)
    if not text:
        return
    try:
        ceiling = int(text)
    except ValueError:
        ceiling = 0
    if ceiling < 1:
        raise SettingsError(
            f"{env.CEILING} is {text!r}: the stack's ceiling of Dask workers is a whole number of 1 or more."
        )
    for variable in (knobs.MINIMUM, knobs.MAXIMUM):
        choice = chosen[variable]
        if int(choice.value) > ceiling:
            chosen[variable] = _Choice(ceiling, choice.voice, choice.where)
            if choice.voice < len(_VOICES) - 1:
                remarks.append(
                    f"{variable.title} {choice.value} from {choice.where} is cut to {ceiling}, the stack's "
                    f"ceiling ({env.CEILING})."
                )


def _reconcile(chosen: dict[Knob, _Choice], remarks: list[str]) -> None:
    """Where minimum and maximum contradict each other the stronger voice wins; one voice must not."""
    low, high = chosen[knobs.MINIMUM], chosen[knobs.MAXIMUM]
    if int(high.value) >= int(low.value):
        return
    if high.voice == low.voice:
        raise SettingsError(
            f"Dask maximum {high.value} from {high.where} is below Dask minimum {low.value} from {low.where}: "
            "raise the maximum or lower the minimum."
        )
    if low.voice < high.voice:
        chosen[knobs.MAXIMUM] = _Choice(low.value, low.voice, low.where)
        moved, old, new = knobs.MAXIMUM, high, low
    else:
        chosen[knobs.MINIMUM] = _Choice(high.value, high.voice, high.where)
        moved, old, new = knobs.MINIMUM, low, high
    if old.voice < len(_VOICES) - 1:
        remarks.append(
            f"{moved.title} {old.value} from {old.where} gives way to {new.value}: {_VOICES[new.voice]} goes "
            f"before {_VOICES[old.voice]}."
        )
