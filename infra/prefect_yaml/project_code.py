"""The files of the project that the deployments of one flow image load."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from infra.flow_signature.imports import project_files
from infra.flow_signature.source import SourceError, locate
from infra.specs.deployment import DeploymentSpec


def loaded(specs: Iterable[DeploymentSpec], root: Path) -> Iterator[tuple[DeploymentSpec, Path, Path | None]]:
    """Yield each deployment with each file that it loads, and the file that imports it, in the order of the source.

    A deployment that brings its own code (pull steps) or its own image (the job variable `image`) is left out, and so
    is one whose entrypoint names no file: that is reported where the deployment is read.

    Args:
        specs: the deployments whose runs use the image.
        root: folder of prefect.yaml, resolved.

    """
    for spec in specs:
        if spec.pull_steps or "image" in spec.job_variables:
            continue
        try:
            path, _ = locate(spec.entrypoint, root)
        except SourceError:
            continue
        for file, importer in project_files(path.resolve(), root).items():
            yield spec, file, importer
