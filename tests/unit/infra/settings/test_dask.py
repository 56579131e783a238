"""The Dask settings read the table of knobs."""

from __future__ import annotations

import subprocess
import typing

import pytest
from annotated_types import Ge
from pydantic import ValidationError

from ephemeral_dask.contract import knobs
from ephemeral_dask.contract.knobs import Knob
from infra.settings import Dask, DaskProfile
from infra.settings.dask import LARGEST_VARIABLE, Report, Scaling


@pytest.mark.parametrize("knob", knobs.SIZES, ids=lambda knob: knob.argument)
@pytest.mark.parametrize("model", [Dask, DaskProfile])
def test_defaults_minimums_and_help_are_those_of_the_knobs(model: type[Dask | DaskProfile], knob: Knob) -> None:
    field = model.model_fields[knob.argument]
    minimums = [each.ge for each in field.metadata if isinstance(each, Ge)]
    assert minimums == ([knob.minimum] if knob.kind == "integer" else [])
    assert field.description == knob.help
    assert field.default == (knob.default if model is Dask else None)


@pytest.mark.parametrize(("kind", "knob"), [(Scaling, knobs.SCALING), (Report, knobs.REPORT)])
def test_choices_are_those_of_the_knobs(kind: object, knob: Knob) -> None:
    assert typing.get_args(kind) == knob.choices


def test_profiles_that_no_process_could_be_started_with_are_refused() -> None:
    """Linux refuses to start a process with an environment variable above 128 KiB, and so every flow pod would fail."""
    profiles = {f"p{number}": {"env": {"TEXT": "x" * 10_000}} for number in range(14)}
    with pytest.raises(ValidationError, match=r"profiles take 13[0-9] KiB"):
        Dask.model_validate({"profiles": profiles})
    assert len(Dask.model_validate({"profiles": dict(list(profiles.items())[:11])}).profiles) == 11


def test_the_bound_of_a_variable_is_below_that_of_linux() -> None:
    for size, starts in ((LARGEST_VARIABLE, True), (128 * 1024, False)):
        try:
            done = subprocess.run(["true"], env={"A" * 20: "x" * size}, check=False).returncode == 0
        except OSError:
            done = False
        assert done is starts
