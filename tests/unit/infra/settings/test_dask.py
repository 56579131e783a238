"""The Dask settings read the table of knobs."""

from __future__ import annotations

import typing

import pytest
from annotated_types import Ge

from ephemeral_dask.contract import knobs
from ephemeral_dask.contract.knobs import Knob
from infra.settings import Dask, DaskProfile
from infra.settings.dask import Report, Scaling


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
