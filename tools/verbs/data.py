"""The data that a destroy deletes, and the question about it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

from tools.engine import urn
from tools.engine.results import State
from tools.errors import Problem

_CLAIM: Final = "kubernetes:core/v1:PersistentVolumeClaim"

_CONTENT: Final[Mapping[str, str]] = {
    "prefect-server-volume": "Prefect's database with the history of all runs",
    "results-claim": "the stored task results",
}
"""Name of a volume's resource -> what is on the volume."""


def volumes(state: State) -> list[str]:
    """Return the volumes that go with a stack, as a person reads them."""
    return [_described(each) for each in state.of_type(_CLAIM)]


def confirm(stack: str, state: State, *, yes: bool, ask: Callable[[str], str] = input) -> None:
    """Ask before data is destroyed; a stack without data is not asked about.

    Args:
        stack: its name.
        state: what Pulumi knows about it.
        yes: whether the person has agreed already, with YES=1.
        ask: prints a question and returns the answer.

    Raises:
        Problem: the person does not agree, or there is no terminal to ask on.

    """
    deleted = volumes(state)
    if not deleted or yes:
        return
    listed = "\n".join(f"    {each}" for each in deleted)
    if not sys.stdin.isatty():
        raise Problem(
            f"Stack {stack} was not destroyed: its data would be deleted, and there is no terminal to ask on",
            remedy=f"Run make down STACK={stack} YES=1 to delete it",
            detail=listed,
        )
    if not _agrees(ask(f"This deletes the data of stack {stack}:\n{listed}\nDestroy stack {stack}? [y/N] ")):
        raise Problem(f"Stack {stack} was not destroyed", remedy="Answer y to destroy it")


def confirm_cluster(*, yes: bool, ask: Callable[[str], str] = input) -> None:
    """Ask before the cluster of kind is deleted, which keeps nothing.

    Args:
        yes: whether the person has agreed already, with YES=1.
        ask: prints a question and returns the answer.

    Raises:
        Problem: the person does not agree, or there is no terminal to ask on.

    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise Problem(
            "The kind cluster was not deleted: its stacks and their data would be, and there is no terminal to ask on",
            remedy="Run make cluster-down YES=1 to delete it",
        )
    question = "This deletes the kind cluster with every stack, its data and its Pulumi state. Delete it? [y/N] "
    if not _agrees(ask(question)):
        raise Problem("The kind cluster was not deleted", remedy="Answer y to delete it")


def _agrees(answer: str) -> bool:
    return answer.strip().lower() in ("y", "yes")


def _described(resource: Mapping[str, Any]) -> str:
    name = urn.name(str(resource["urn"]))
    inputs = resource.get("inputs") or {}
    metadata, spec = inputs.get("metadata") or {}, inputs.get("spec") or {}
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage", "")
    where = f"volume {metadata.get('namespace', '')}/{metadata.get('name', name)}{f', {size}' if size else ''}"
    content = _CONTENT.get(name)
    return f"{content} ({where})" if content else where
