from __future__ import annotations

import pytest
from pulumi.automation.events import EngineEvent

from tools.engine import diagnostics

PREFIX = "urn:pulumi:dev::ephemeral-dask::"
SERVER = f"{PREFIX}ephemeral-dask:index:PrefectServer$kubernetes:apps/v1:Deployment::prefect-server-deployment"
IMAGE = f"{PREFIX}ephemeral-dask:index:FlowImage$docker-build:index:Image::image-flow"
STACK = f"{PREFIX}pulumi:pulumi:Stack::ephemeral-dask-dev"
PLAIN_HTTP = (
    'unable to verify image tags, leaving state unchanged: failed to get manifest: Get "https://{host}/v2/": '
    "http: server gave HTTP response to HTTPS client"
)


def event(severity: str, message: str, urn: str = "", **fields: bool) -> EngineEvent:
    return EngineEvent.from_json({"diagnosticEvent": {"severity": severity, "message": message, "urn": urn, **fields}})


def test_an_error_is_shown_once_with_the_resource_that_failed_and_without_the_engines_frame() -> None:
    failures = diagnostics.failures(
        [
            event("error", "<{%fg 1%}>error: <{%reset%}>no node can take the pod\n", SERVER),
            event("error", "no node can take the pod", SERVER),
            event("error", "update failed", STACK),
            event("error", "an unhandled error occurred: program exited with non-zero exit code: 1", STACK),
        ]
    )
    assert [str(failure) for failure in failures] == ["Deployment prefect-server-deployment: no node can take the pod"]


@pytest.mark.parametrize("name", ["Daily Report-every minute", "日本-毎日 🙂", "etl::load-a::b"])
def test_an_error_has_the_whole_name_of_a_deployment(name: str) -> None:
    urn = f"{PREFIX}pulumi-python:dynamic/prefect:Deployment::{name}"
    (failure,) = diagnostics.failures([event("error", "409", urn)])
    assert str(failure) == f"Deployment {name}: 409"


def test_a_programs_own_sentence_stands_alone() -> None:
    (failure,) = diagnostics.failures([event("error", "prefect.yaml: line 3 is wrong", STACK)])
    assert str(failure) == "prefect.yaml: line 3 is wrong"


def test_the_last_lines_of_a_build_are_shown_when_it_fails_and_only_then() -> None:
    build = [event("info", f"#9 line {number}", IMAGE) for number in range(40)]
    other = [event("info", "#2 platform", IMAGE.replace("image-flow", "image-platform"))]
    (failure,) = diagnostics.failures([*build, *other, event("error", "process did not complete: exit code: 1", IMAGE)])
    assert failure.output[-1] == "#9 line 39"
    assert len(failure.output) == 15
    assert "#2 platform" not in str(failure)
    assert diagnostics.failures(build) == ()
    assert diagnostics.warnings(build) == ()


def test_a_registry_of_this_machine_is_not_warned_about_and_any_other_is() -> None:
    local, remote = (event("warning", PLAIN_HTTP.format(host=host)) for host in ("localhost:5001", "r.example.com"))
    assert diagnostics.warnings([local]) == ()
    assert len(diagnostics.warnings([local, remote])) == 1
    assert len(diagnostics.warnings([event("warning", "unable to verify image tags: unauthorized")])) == 1


def test_objects_that_could_not_be_compared_for_the_same_reason_are_one_warning() -> None:
    away = "could not be compared with the server. Could not reach the Prefect API at http://prefect."
    events = [event("warning", f"Prefect deployment 'etl/{name}' {away}") for name in "abc"]
    refused = "Prefect work pool 'dask' could not be compared with the server. The server refused the credential."
    assert diagnostics.warnings([*events, event("warning", refused)]) == (
        f"Prefect deployment 'etl/a' and 2 more {away}",
        refused,
    )


def test_what_was_true_for_a_moment_only_is_not_a_warning() -> None:
    unready = "[Pod flows/prefect-server-575c7bc878-7z56j]: containers with unready status: [server]"
    assert diagnostics.warnings([event("warning", unready, SERVER, ephemeral=True)]) == ()


def test_a_programs_warnings_are_kept_and_other_output_is_not() -> None:
    events = [
        event("info#err", "warning: Prefect work pool 'p' was not compared."),
        event("info#err", "a stray print"),
        event("debug", "registering resource"),
        event("info", "[1/2] Waiting for app ReplicaSet", SERVER),
    ]
    assert diagnostics.warnings(events) == ("warning: Prefect work pool 'p' was not compared.",)
