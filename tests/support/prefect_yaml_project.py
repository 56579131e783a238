"""A project with a prefect.yaml, for tests of how the file is read."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from infra.prefect_yaml.load import DeploymentError, DeploymentSpec, load_deployments

FLOWS = '''
import geolib
from prefect import flow
import prefect as p


@flow
def plain_one(a: int = 1, b: str = "b"):
    """What it does.

    More of it.
    """


@flow(name="Named", description="Described.")
def named(a: int): ...


@p.flow(log_prints=True)
async def through_module(**anything): ...


def no_flow(): ...


measured = geolib.measure(plain_one)


@flow(name=geolib.NAME)
def computed(): ...


class Holder:
    @staticmethod
    @flow
    def inside(a: int = 1): ...
'''


@dataclass(kw_only=True)
class Override:
    paused: bool | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    job_variables: dict[str, Any] = field(default_factory=dict)
    parameter_schema: dict[str, Any] | None = None
    flow_name: str | None = None


@dataclass
class Project:
    folder: Path
    warnings: list[str] = field(default_factory=list)

    def load(self, text: str, **options: Any) -> tuple[DeploymentSpec, ...]:
        path = self.folder / "prefect.yaml"
        path.write_text(textwrap.dedent(text))
        options = {"environment": {}, "warn": self.warnings.append, **options}
        return load_deployments(path, **options)

    def one(self, text: str, **options: Any) -> DeploymentSpec:
        """Load one deployment of the plain flow with more lines."""
        [spec] = self.load(deployment(text), **options)
        return spec

    def warning_of(self, text: str, **options: Any) -> str:
        """Load one deployment with more lines that are accepted with one warning."""
        self.one(text, **options)
        [warning] = self.warnings
        return warning

    def refusal(self, text: str, **options: Any) -> str:
        with pytest.raises(DeploymentError) as caught:
            self.load(text, **options)
        return str(caught.value)

    def refusal_of(self, text: str, **options: Any) -> str:
        """Load one deployment with more lines that must be refused, for one reason in one line."""
        head, *problems = self.refusal(deployment(text), **options).splitlines()
        assert head == "prefect.yaml is not valid, so nothing was changed:"
        assert len(problems) == 1
        return problems[0].strip()


def deployment(text: str) -> str:
    first = "deployments:\n  - name: one\n    entrypoint: flows.jobs.plain_one\n"
    return first + textwrap.indent(textwrap.dedent(text), "    ")
