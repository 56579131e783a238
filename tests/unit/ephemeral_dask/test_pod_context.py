from __future__ import annotations

import pytest

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import pods, reserved
from ephemeral_dask.contract.pods import PodExtras, RunPods
from ephemeral_dask.pod_context import PodContext, ResultVolume
from ephemeral_dask.settings import SettingsError

KUBERNETES = {env.NAMESPACE: "flows", env.IMAGE: "registry/flow@sha256:1"}


def context(**more: str) -> PodContext:
    pod = PodContext.from_env(KUBERNETES | more)
    assert pod is not None
    return pod


def test_without_a_namespace_there_is_no_place_in_kubernetes() -> None:
    assert PodContext.from_env({}) is None
    assert PodContext.from_env({env.NAMESPACE: ""}) is None


def test_a_namespace_without_an_image_is_refused_by_the_variables_name() -> None:
    with pytest.raises(SettingsError, match=env.IMAGE):
        PodContext.from_env({env.NAMESPACE: "flows"})


def test_a_dashboard_is_that_of_make_dashboard_unless_the_stack_names_an_address_of_its_own() -> None:
    assert context().dashboard_of("etl-1") == "http://127.0.0.1:8787/status"
    proxied = context(**{env.DASHBOARD: "https://dask.example.com/{namespace}/{cluster}/status"})
    assert proxied.dashboard_of("etl-1") == "https://dask.example.com/flows/etl-1/status"


@pytest.mark.parametrize(("value", "tls"), [("true", True), ("", False), (None, False)])
def test_dask_clusters_have_certificates_where_the_stack_says_so(value: str | None, tls: bool) -> None:
    assert context(**({} if value is None else {env.TLS: value})).tls is tls


def test_a_run_without_a_deployment_has_an_empty_label() -> None:
    assert context(**{env.DEPLOYMENT: "nightly"}).deployment == "nightly"
    assert context(**{env.DEPLOYMENT: ""}).deployment is None
    assert context().deployment is None


def test_where_results_are_kept_reaches_the_workers() -> None:
    volume = context(**{env.RESULTS_CLAIM: "results", env.RESULTS_PATH: "/r", "PREFECT_LOCAL_STORAGE_PATH": "/r"})
    assert volume.results == ResultVolume(claim="results", path="/r")
    assert volume.passed_on == {"PREFECT_LOCAL_STORAGE_PATH": "/r"}
    one = {env.RESULTS_CLAIM: "results", env.RESULTS_PATH: "/r", env.DEPLOYMENT_ID: "0198f0c4"}
    assert context(**one).results == ResultVolume(claim="results", path="/r", folder="deployment-0198f0c4")
    # A run without a deployment: an empty path would be the whole volume.
    assert context(**one | {env.DEPLOYMENT_ID: ""}).results == ResultVolume(
        claim="results", path="/r", folder="deployment-"
    )
    block = context(PREFECT_DEFAULT_RESULT_STORAGE_BLOCK="s3-bucket/results", PREFECT_RESULTS_PERSIST_BY_DEFAULT="true")
    assert block.results is None
    assert set(block.passed_on) == {"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK", "PREFECT_RESULTS_PERSIST_BY_DEFAULT"}


@pytest.mark.parametrize(("uid", "user"), [(10001, 10001), (0, None)])
def test_dask_pods_get_the_flow_pods_user_unless_it_is_root(
    monkeypatch: pytest.MonkeyPatch, uid: int, user: int | None
) -> None:
    monkeypatch.setattr("os.getuid", lambda: uid)
    assert context().user == user


@pytest.mark.parametrize(
    "present", [env.JOB_NAME, env.JOB_UID, env.API_SECRET_NAME, env.API_SECRET_KEY, env.RESULTS_CLAIM]
)
def test_half_an_owner_or_half_a_credential_is_refused(present: str) -> None:
    with pytest.raises(SettingsError, match=present):
        context(**{present: "something"})


def test_the_credential_is_known_by_reference_only() -> None:
    pod = context(
        PREFECT_API_KEY="pnu_secret",
        PREFECT_API_AUTH_STRING="admin:secret",
        PREFECT_CLIENT_CUSTOM_HEADERS='{"token": "secret"}',
        PREFECT_API_URL="http://server/api",
    )
    assert pod.passed_on == {"PREFECT_API_URL": "http://server/api"}
    assert "pnu_secret" not in repr(pod)
    assert "admin:secret" not in repr(pod)
    assert "token" not in repr(pod)


def test_the_additions_of_the_stack_reach_the_context() -> None:
    sent = RunPods(worker=PodExtras(env={"A": "b"}), scheduler_cpu="2")
    assert context(**{env.PODS: pods.encode(sent)}).pods == sent
    assert context().pods == RunPods()
    with pytest.raises(SettingsError, match=env.PODS):
        context(**{env.PODS: "[]"})


@pytest.mark.parametrize("text", ["nonsense", "3", "__import__('os')"])
def test_an_environment_must_be_a_mapping(text: str) -> None:
    with pytest.raises(SettingsError, match=env.ENV):
        context(**{env.ENV: text})


def test_a_deployment_cannot_set_a_variable_of_the_platform_and_the_sentence_is_that_of_the_preview() -> None:
    with pytest.raises(SettingsError) as caught:
        context(**{env.ENV: str({"PREFECT_API_URL": "x"})})
    assert reserved.variable_errors(["PREFECT_API_URL"])[0] in str(caught.value)


@pytest.mark.parametrize(("address", "ipv6"), [("10.96.0.1", False), ("fd00:10:96::1", True)])
def test_the_family_of_pod_addresses_is_that_of_the_kubernetes_service(address: str, ipv6: bool) -> None:
    pod = PodContext.from_env({**KUBERNETES, "KUBERNETES_SERVICE_HOST": address})
    assert pod is not None
    assert pod.ipv6 is ipv6


def test_prices_that_cannot_be_read_fail_no_run(caplog: pytest.LogCaptureFixture) -> None:
    assert context(**{env.PRICES: "[]"}).prices is None
    assert env.PRICES in caplog.text
    assert context().prices is None
