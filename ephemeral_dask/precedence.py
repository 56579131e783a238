"""Which source decides about each size of a run's Dask cluster.

Precedence, highest first: the run or its deployment (job variables of the work pool), the profile that it names, the
argument in the flow's code, the profile that the code names, the stack's default, the built-in default. The stack's
ceiling bounds them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import knobs, profiles, quantities
from ephemeral_dask.contract.profiles import Profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ephemeral_dask.contract.knobs import Knob

Value = int | float | str


class SettingsError(ValueError):
    """A size that cannot be used. The message says which, why, and what to write instead."""


class Source(IntEnum):
    """Where a value comes from, in order of precedence."""

    RUN = 0
    PROFILE_OF_RUN = 1
    CODE = 2
    PROFILE_OF_CODE = 3
    STACK = 4
    BUILT_IN = 5

    @property
    def title(self) -> str:
        return (
            "the run or its deployment",
            "the profile that the run or its deployment names",
            "the flow's code",
            "the profile that the flow's code names",
            "the stack's default",
            "the built-in default",
        )[self]


@dataclass(frozen=True)
class _Choice:
    value: Value
    source: Source
    where: str


@dataclass(frozen=True)
class _NamedProfile:
    """The profile that the run or the code names, and which of them; without a name, an empty one."""

    name: str
    profile: Profile
    source: Source


@dataclass(frozen=True)
class Resolution:
    """The outcome for all sizes.

    Attributes:
        values: by knob.
        profile_name: the profile that is used, or empty.
        profile: what it says beyond sizes.
        warnings: a sentence for each value that gave way to another one, for the run's log.

    """

    values: Mapping[Knob, Value]
    profile_name: str = ""
    profile: Profile = field(default_factory=Profile)
    warnings: tuple[str, ...] = ()


def resolve(environ: Mapping[str, str], code: Mapping[Knob, Value], code_profile: str | None) -> Resolution:
    """Decide about every size.

    Args:
        environ: the flow pod's environment.
        code: the arguments of `ephemeral_dask()` that are not None; they are valid.
        code_profile: its argument `profile`.

    Raises:
        SettingsError: naming the variable, its value and the remedy.

    """
    named = _named_profile(environ, code_profile)
    choices = {knob: _choose(knob, environ, code, named) for knob in knobs.SIZES}
    warnings = [*_apply_ceiling(choices, environ), *_reconcile(choices)]
    return Resolution(
        values={knob: choice.value for knob, choice in choices.items()},
        profile_name=named.name,
        profile=named.profile,
        warnings=tuple(warnings),
    )


def check(knob: Knob, value: Value, where: str) -> Value:
    """Return a value that the knob accepts; a bare number of cores or bytes as the quantity that it is.

    Raises:
        SettingsError: what the value is, where it comes from and what it must be.

    """
    try:
        knob.check(value)
    except ValueError as error:
        raise SettingsError(f"{knob.title} is {value!r} from {where}: it {error}.") from None
    return str(quantities.text(value)) if knob.is_quantity else value


def argument(knob: Knob) -> str:
    """Return how error messages call an argument in the flow's code."""
    return f"{knob.argument}= of ephemeral_dask()"


def _job_variable(knob: Knob) -> str:
    return f"job variable {knob.name} ({knob.variable})"


def _named_profile(environ: Mapping[str, str], code_profile: str | None) -> _NamedProfile:
    name, source, where = code_profile or "", Source.PROFILE_OF_CODE, argument(knobs.PROFILE)
    if of_run := environ.get(knobs.PROFILE.variable):
        name, source, where = of_run, Source.PROFILE_OF_RUN, _job_variable(knobs.PROFILE)
    text = environ.get(env.PROFILES)
    if not name or text is None:  # outside Kubernetes there are no profiles, and a flow that names one still runs
        return _NamedProfile("", Profile(), source)
    try:
        known = profiles.decode(text)
    except ValueError as error:
        raise SettingsError(
            f"{env.PROFILES} cannot be read: {error}. It is set by the work pool's base job template: run the "
            "deployment through that pool, unchanged."
        ) from None
    if name not in known:
        raise SettingsError(profiles.unknown(name, known, where))
    return _NamedProfile(name, known[name], source)


def _choose(knob: Knob, environ: Mapping[str, str], code: Mapping[Knob, Value], named: _NamedProfile) -> _Choice:
    if text := environ.get(knob.variable):
        where = _job_variable(knob)
        return _Choice(_parsed(knob, text, where), Source.RUN, where)
    offers = []
    if (argument_value := code.get(knob)) is not None:
        offers.append(_Choice(argument_value, Source.CODE, argument(knob)))
    if (size := named.profile.sizes.get(knob.argument)) is not None:
        where = f"profile {named.name}"
        offers.append(_Choice(check(knob, size, where), named.source, where))
    if offers:
        return min(offers, key=lambda offer: offer.source)
    if text := environ.get(knob.default_variable):
        where = f"the stack's default ({knob.default_variable})"
        return _Choice(_parsed(knob, text, where), Source.STACK, where)
    return _Choice(knob.default, Source.BUILT_IN, Source.BUILT_IN.title)


def _parsed(knob: Knob, text: str, where: str) -> Value:
    if knob.type == "string":
        return check(knob, text, where)
    try:
        number = int(text)
    except ValueError:
        raise SettingsError(
            f"{knob.title} is {text!r} from {where}: it must be an integer, such as {knob.default}."
        ) from None
    return check(knob, number, where)


def _apply_ceiling(choices: dict[Knob, _Choice], environ: Mapping[str, str]) -> list[str]:
    """Cut minimum and maximum to the stack's ceiling; return a warning for each that a person asked for."""
    text = environ.get(env.CEILING)
    if not text:
        return []
    try:
        ceiling = int(text)
    except ValueError:
        ceiling = 0
    if ceiling < 1:
        raise SettingsError(
            f"{env.CEILING} is {text!r}: the stack's ceiling of Dask workers must be an integer of at least 1."
        )
    warnings = []
    for knob in (knobs.MINIMUM, knobs.MAXIMUM):
        choice = choices[knob]
        if int(choice.value) <= ceiling:
            continue
        choices[knob] = _Choice(ceiling, choice.source, choice.where)
        if choice.source is not Source.BUILT_IN:
            warnings.append(
                f"{knob.title} {choice.value} from {choice.where} is cut to {ceiling}, the stack's ceiling "
                f"({env.CEILING})."
            )
    return warnings


def _reconcile(choices: dict[Knob, _Choice]) -> list[str]:
    """Let the higher source decide where minimum and maximum contradict each other; one source must not."""
    low, high = choices[knobs.MINIMUM], choices[knobs.MAXIMUM]
    error = knobs.order_error(int(low.value), int(high.value))
    if error is None:
        return []
    if high.source is low.source:
        raise SettingsError(
            f"The sizes of the Dask cluster contradict each other ({high.where}, {low.where}): {error}."
        )
    if low.source < high.source:
        loser, old, new = knobs.MAXIMUM, high, low
    else:
        loser, old, new = knobs.MINIMUM, low, high
    choices[loser] = _Choice(new.value, new.source, new.where)
    if old.source is Source.BUILT_IN:
        return []
    why = f"{new.source.title} takes precedence over {old.source.title}"
    return [f"{loser.title} {old.value} from {old.where} gives way to {new.value}: {why}."]
