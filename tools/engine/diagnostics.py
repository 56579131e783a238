"""What the engine's events say went wrong, without the engine's own frame around it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from pulumi.automation.events import DiagnosticEvent, EngineEvent

from tools.engine import urn as urns

_COLOUR: Final = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")

_FRAME: Final = (
    "an unhandled error occurred: program exited with non-zero exit code",
    "update failed",
    "preview failed",
    "destroy failed",
    "resource operation failed",
)
"""How the engine's messages begin that only repeat that something failed."""

_PLAIN_HTTP: Final = "server gave HTTP response to HTTPS client"
_PLAIN_HOSTS: Final = re.compile(r"(?:https://|\s)(localhost|127\.0\.0\.1|\[::1\])[:/]")

_NOT_COMPARED: Final = re.compile(
    r"(?P<head>.*?)Prefect (?P<object>.+?) could not be compared with the server\.(?P<cause>.*)", re.DOTALL
)
"""A warning of `infra/registration/provider.py`."""

_OUTPUT_LINES: Final = 15
"""Lines of a failed build that are shown."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One error.

    Attributes:
        resource: `<kind> <name>` of what failed; empty for an error of the program or the engine.
        message: of the engine or the provider.
        output: the last lines of the image build behind it.

    """

    resource: str
    message: str
    output: tuple[str, ...] = ()

    def __str__(self) -> str:
        head = f"{self.resource}: {self.message}" if self.resource else self.message
        return "\n".join([head, *(f"    {line}" for line in self.output)])


def failures(events: Iterable[EngineEvent]) -> tuple[Failure, ...]:
    """Return every error once, in the order in which they occurred."""
    output: dict[str, list[str]] = defaultdict(list)
    errors: dict[tuple[str, str], Failure] = {}
    for event in _diagnostics(events):
        text = message(event)
        urn = event.urn or ""
        if event.severity != "error":
            if is_image(urn) and event.severity != "debug":
                output[urn] += [line for line in text.splitlines() if line.strip()]
            continue
        if text and not text.startswith(_FRAME):
            last = tuple(output[urn][-_OUTPUT_LINES:])
            errors.setdefault((urn, text), Failure(resource=resource(urn), message=text, output=last))
    return tuple(errors.values())


def warnings(events: Iterable[EngineEvent]) -> tuple[str, ...]:
    """Return every warning once: those of providers, and our program's own sentences on standard error.

    The engine marks as ephemeral what is about the moment, such as a pod that is not ready yet.
    """
    texts = []
    for event in _diagnostics(events):
        if event.ephemeral:
            continue
        text = message(event)
        # A program's standard error has our own sentences and other libraries' output.
        ours = event.severity == "info#err" and text.startswith(("warning: ", "info: "))
        if (ours or event.severity == "warning") and not is_about_plain_http(text):
            texts.append(text)
    return tuple(dict.fromkeys(_grouped([text for text in texts if text])))


def _grouped(texts: Sequence[str]) -> Iterable[str]:
    """Join the warnings about Prefect objects that share their cause: a server that is away is one problem."""
    objects: dict[str, list[str]] = defaultdict(list)
    for text in texts:
        if match := _NOT_COMPARED.match(text):
            objects[match["cause"]].append(match["object"])
    for text in texts:
        match = _NOT_COMPARED.match(text)
        names = objects[match["cause"]] if match else []
        if match is None or len(names) == 1:
            yield text
        else:
            more = f" and {len(names) - 1} more"
            yield f"{match['head']}Prefect {names[0]}{more} could not be compared with the server.{match['cause']}"


def message(event: DiagnosticEvent) -> str:
    """Return a message without the engine's colour marks."""
    return _COLOUR.sub("", event.message).strip().removeprefix("error: ")


def is_about_plain_http(text: str) -> bool:
    """Tell whether the docker-build provider says that it could not look at a tag in a registry of this machine.

    Its refresh asks for the manifest over HTTPS, whatever the builder is configured for, and the local cluster's
    registry serves HTTP. The image is pinned by its digest, so nothing depends on the answer.
    """
    return _PLAIN_HTTP in text and _PLAIN_HOSTS.search(text) is not None


def resource(urn: str) -> str:
    """Return a resource as people name it, such as `Deployment prefect-server-deployment`; empty for the stack."""
    kind = urns.kind(urn)
    if not kind or kind == "pulumi:pulumi:Stack":
        return ""
    return f"{kind.rpartition(':')[2].rpartition('/')[2]} {urns.name(urn)}"


def is_image(urn: str) -> bool:
    """Tell whether a resource is an image build."""
    return "$docker-build:index:Image::" in urn or "$docker:index/image:Image::" in urn


def _diagnostics(events: Iterable[EngineEvent]) -> Iterable[DiagnosticEvent]:
    return (event.diagnostic_event for event in events if event.diagnostic_event is not None)
