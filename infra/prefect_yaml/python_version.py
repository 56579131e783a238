"""Syntax that the Python of a preview does not know, compared with the Python of the flow images."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable
from pathlib import Path

from infra.flow_signature.files import SourceError, parse, relative
from infra.flow_signature.newer_python import NoInterpreterError, accepted, numbers, parse_as
from infra.prefect_yaml.project_code import loaded
from infra.specs.deployment import DeploymentSpec

HERE = "{}.{}".format(*sys.version_info)


def newer(versions: Iterable[str]) -> tuple[str, ...]:
    """Return those of some versions of Python that are newer than this process."""
    return tuple(version for version in dict.fromkeys(versions) if numbers(version) > numbers(HERE))


def note(text: str, versions: Iterable[str]) -> str:
    """Return what to add to an error about syntax that no interpreter of the flow images' Python could judge.

    Args:
        text: the error.
        versions: of the flow images.

    """
    missing = [version for version in newer(versions) if "syntax error" in text and not _has(version)]
    if not missing:
        return ""
    version = max(missing, key=numbers)
    return (
        f"\n  A preview reads flows with Python {HERE}, and a flow image has Python {version}: if the syntax is newer"
        f" than {HERE}, install an interpreter `python{version}` on this machine, which then parses the file, or write"
        " it as both versions know it"
    )


def _has(version: str) -> bool:
    try:
        parse_as(b"", version)
    except NoInterpreterError:
        return False
    return True


def check_syntax(specs: Iterable[DeploymentSpec], root: Path, version: str, *, key: str) -> list[str]:
    """Return a sentence for each file that a flow loads and whose syntax its image's Python does not know.

    A deployment that brings its own code (pull steps) or its own image (the job variable `image`) is not checked.

    Args:
        specs: the deployments whose runs use the image.
        root: folder of prefect.yaml.
        version: of Python in the image.
        key: of the image in the stack file, such as `image.flow`.

    """
    base, errors = root.resolve(), dict[Path, str]()
    for spec, file, _ in loaded(specs, base):
        if file not in errors and (problem := _problem(file, version)):
            errors[file] = (
                f"{spec.location}: deployment '{spec.key}' loads {relative(file, base)}, and Python {version} of"
                f" {key} cannot: {problem}; correct it, or set {key}.python"
            )
    return list(errors.values())


def _problem(file: Path, version: str) -> str:
    with accepted(*newer([version])):
        try:
            parse(file)
        except SourceError as error:
            return str(error).partition(";")[0]
    if numbers(version) < numbers(HERE):
        try:
            ast.parse(file.read_bytes(), feature_version=(3, numbers(version)[1]))
        except SyntaxError as error:
            return f"{file.name} line {error.lineno}: {error.msg}"
    return ""
