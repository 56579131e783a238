from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic.alias_generators import to_camel

from infra import settings
from infra.specs.namespaces import Namespaces
from tools import stackfile
from tools.paths import ROOT

IMAGE = {"registry": "localhost:5001", "builder": "docker-build"}


def refusal(**values: Any) -> str:
    with pytest.raises(settings.SettingsError) as caught:
        settings.parse({"image": IMAGE, **values}, stack="dev")
    return str(caught.value)


@pytest.mark.parametrize("stack", stackfile.stacks())
def test_every_stack_file_in_the_repository_is_valid(stack: str) -> None:
    stackfile.check(stack, stackfile.read(stack), {})


def test_every_setting_is_a_typed_key_of_the_project_file() -> None:
    typed = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    fields = {to_camel(name) for name in settings.Settings.model_fields}
    assert set(typed) == fields


def test_every_typed_key_has_a_default_or_must_be_set_because_pulumi_refuses_a_stack_that_lacks_one() -> None:
    typed = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    without = {name for name, key in typed.items() if "default" not in key}
    required = {to_camel(name) for name, field in settings.Settings.model_fields.items() if field.is_required()}
    assert without == required


def test_the_defaults_of_the_project_file_are_those_of_the_settings() -> None:
    typed = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())["config"]
    written = {name: key["default"] for name, key in typed.items() if "default" in key}
    assert settings.parse({"image": IMAGE, **written}, stack="dev") == settings.parse({"image": IMAGE}, stack="dev")


def test_unset_keys_have_their_default() -> None:
    checked = settings.parse({"image": IMAGE}, stack="dev")
    assert checked.namespace == "flows"
    assert isinstance(checked.prefect, settings.EmbeddedPrefect)
    assert (checked.dask.minimum, checked.dask.maximum) == (1, 4)


def test_a_misspelt_key_is_refused_with_the_closest_key() -> None:
    text = refusal(dask={"minimun": 2})
    assert "ephemeral-dask:dask.minimun" in text
    assert "did you mean 'minimum'?" in text


def test_a_misspelt_section_is_refused_with_the_closest_key() -> None:
    assert "did you mean 'workPools'?" in refusal(workpools={})


def test_a_misspelt_key_inside_a_variant_names_the_path_that_the_person_wrote() -> None:
    text = refusal(prefect={"mode": "embedded", "database": {"kind": "sqlite", "storge": "2Gi"}})
    assert "ephemeral-dask:prefect.database.storge: there is no such key; did you mean 'storage'?" in text


def test_every_wrong_key_is_named_at_once() -> None:
    text = refusal(dask={"minimum": -1}, worker={"replicas": "two"})
    assert "ephemeral-dask:dask.minimum" in text
    assert "ephemeral-dask:worker.replicas" in text


def test_a_maximum_below_the_minimum_is_refused() -> None:
    assert "maximum is 2 and minimum is 5: raise the maximum" in refusal(dask={"minimum": 5, "maximum": 2})


def test_a_ceiling_below_the_maximum_is_refused() -> None:
    assert "ceiling is 5 and maximum is 20: raise the ceiling" in refusal(dask={"maximum": 20, "ceiling": 5})


def test_an_unknown_variant_is_refused_with_the_known_ones() -> None:
    text = refusal(prefect={"mode": "imbedded"})
    assert "ephemeral-dask:prefect: mode is 'imbedded'" in text
    assert "embedded" in text


def test_a_missing_image_section_says_how_to_set_it() -> None:
    with pytest.raises(settings.SettingsError) as caught:
        settings.parse({}, stack="dev")
    assert "Pulumi.dev.yaml" in str(caught.value)
    assert "ephemeral-dask:image: is missing" in str(caught.value)


def test_a_base_image_without_tag_or_digest_is_refused() -> None:
    text = refusal(image={**IMAGE, "base": "localhost:5001/base"})
    assert "ephemeral-dask:image.base" in text
    assert "neither tag nor digest" in text


@pytest.mark.parametrize("flow", ["r/flow", "r/flow:1", "r/flow@sha256:abc", f"r/flow@sha256:{'A' * 64}"])
def test_a_prebuilt_image_without_a_digest_is_refused_with_the_reason(flow: str) -> None:
    digest = f"r/platform:1@sha256:{'a' * 64}"
    text = refusal(image={"builder": "prebuilt", "flow": flow, "platform": digest, "flows": {"gpu": digest}})
    assert "ephemeral-dask:image.flow" in text
    assert "has no digest, and a tag can be moved" in text
    assert "image.platform" not in text
    assert "image.flows" not in text


def test_a_prebuilt_image_with_a_digest_needs_the_name_of_an_image_as_well() -> None:
    digest = f"@sha256:{'a' * 64}"
    text = refusal(
        image={"builder": "prebuilt", "flow": f"https://r/Flow 1{digest}", "platform": f"r/platform{digest}"}
    )
    assert "ephemeral-dask:image.flow" in text
    assert "is not the name of an image" in text


def test_a_bare_number_is_a_quantity_as_yaml_users_write_it() -> None:
    assert settings.parse({"image": IMAGE, "dask": {"workerCpu": 2}}, stack="dev").dask.worker_cpu == "2"


def test_a_quantity_that_kubernetes_would_refuse_is_refused() -> None:
    assert "ephemeral-dask:dask.workerMemory" in refusal(dask={"workerMemory": "2 GB"})


def test_an_api_address_with_credentials_in_it_is_refused() -> None:
    text = refusal(prefect={"mode": "server", "apiUrl": "https://user:pw@prefect.example.com/api"})
    assert "without credentials" in text
    assert "user:pw" not in text
    assert "prefect.apiUrl" in text


@pytest.mark.parametrize(
    "address",
    ["http://h:99999/api", "http://[::1/api", "http://h:/api", "http://a..b/api", f"http://{'a' * 64}.test/api"],
)
def test_an_address_that_no_client_can_use_is_refused(address: str) -> None:
    assert "write http(s)://host[:port]/path" in refusal(prefect={"mode": "server", "apiUrl": address})


@pytest.mark.parametrize("address", ["http://[::1]:4200/api", "https://hä.example.com./api", "http://h/a/api?b=c"])
def test_an_address_may_have_any_host(address: str) -> None:
    parsed = settings.parse({"image": IMAGE, "prefect": {"mode": "server", "apiUrl": address}}, stack="dev")
    assert getattr(parsed.prefect, "api_url", None) == address


def test_a_work_pool_name_that_prefect_reserves_is_refused() -> None:
    assert "reserved by Prefect" in refusal(workPools={"prefect-pool": {}})


def test_settings_cannot_be_changed_after_they_were_checked() -> None:
    checked = settings.parse({"image": IMAGE}, stack="dev")
    with pytest.raises(Exception, match="frozen"):
        checked.namespace = "other"  # type: ignore[misc]


def test_a_profile_is_typed_like_the_rest_of_the_file() -> None:
    text = refusal(dask={"profiles": {"large": {"workerCpus": 2}}})
    assert "ephemeral-dask:dask.profiles.large.workerCpus: there is no such key; did you mean 'workerCpu'?" in text


def test_a_profile_beyond_the_ceiling_is_refused_by_name() -> None:
    assert "profile 'large' asks for 50 workers" in refusal(dask={"profiles": {"large": {"maximum": 50}}})


def test_a_profile_whose_maximum_is_below_its_minimum_is_refused() -> None:
    text = refusal(dask={"profiles": {"large": {"minimum": 3, "maximum": 2}}})
    assert "dask.profiles.large: maximum is 2 and minimum is 3" in text


def test_worker_memory_that_dask_cannot_start_in_is_refused() -> None:
    assert "must be at least 384Mi" in refusal(dask={"workerMemory": "100Mi"})
    assert "dask.profiles.large.workerMemory" in refusal(dask={"profiles": {"large": {"workerMemory": "100Mi"}}})


def test_a_dashboard_address_that_is_the_same_for_every_run_is_refused() -> None:
    assert "must contain {cluster}" in refusal(dask={"dashboard": "https://dask.example.com/status"})


def test_a_credential_in_a_profiles_environment_is_refused_without_its_value() -> None:
    env = {"PREFECT_API_KEY": "pnu_marked"}
    for profile in ({"env": env}, {"largeWorkers": {"maximum": 1, "cpu": "1", "memory": "2Gi", "env": env}}):
        text = refusal(dask={"profiles": {"large": profile}})
        assert "PREFECT_API_KEY, a credential" in text
        assert "pnu_marked" not in text


def test_large_workers_without_a_size_are_refused_by_key() -> None:
    text = refusal(dask={"profiles": {"split": {"largeWorkers": {"maximum": 1, "cpu": "4", "memory": "64Mi"}}}})
    assert "dask.profiles.split.largeWorkers.memory: must be at least 384Mi" in text
    text = refusal(dask={"profiles": {"split": {"largeWorkers": {"maximum": 1, "memory": "2Gi"}}}})
    assert "dask.profiles.split.largeWorkers.cpu" in text


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"prefect": {"mode": "embedded", "auth": "none", "ingress": {"host": "a.example.com"}}}, "prefect.ingress"),
        ({"prefect": {"mode": "embedded", "auth": "none", "database": {"kind": "postgresql"}}}, "postgresql"),
        ({"prefect": {"mode": "embedded", "auth": "none"}, "protect": True}, "protect"),
        (
            {"prefect": {"mode": "embedded", "auth": "none"}, "network": {"prefectClients": ["x"]}},
            "network.prefectClients",
        ),
    ],
)
def test_a_server_for_others_without_a_password_is_refused(values: dict[str, Any], key: str) -> None:
    text = refusal(**values)
    assert "ephemeral-dask:prefect.auth is none, and" in text
    assert f"{key} is set" in text
    assert "pulumi config set --secret prefectAuthString" in text


def test_a_password_in_a_secret_and_none_are_refused() -> None:
    text = refusal(prefect={"mode": "embedded", "auth": "none", "authSecret": {"name": "a", "key": "b"}})
    assert "ephemeral-dask:prefect: auth is none, and authSecret names a password" in text


def test_two_servers_on_sqlite_are_refused() -> None:
    text = refusal(prefect={"mode": "embedded", "replicas": 2})
    assert "ephemeral-dask:prefect: replicas above 1" in text
    assert "database.kind postgresql and redis" in text


def test_a_work_pool_with_an_undeclared_image_is_refused() -> None:
    text = refusal(workPools={"gpu": {"image": "gpu"}})
    assert "workPools.gpu.image is 'gpu', and image.flows is empty" in text


@pytest.mark.parametrize(("written", "meant"), [(True, True), ("true", True), ("false", False)])
def test_a_switch_is_accepted_as_a_boolean_and_as_the_text_that_pulumi_writes_back(written: Any, meant: bool) -> None:
    assert settings.parse({"image": IMAGE, "protect": written}, stack="dev").protect is meant


def test_a_switch_that_is_neither_is_refused() -> None:
    assert "ephemeral-dask:protect" in refusal(protect="yes")


def test_build_secrets_with_a_builder_that_has_none_are_refused_with_the_one_that_has_them() -> None:
    text = refusal(image={"builder": "docker", "registry": "localhost:5001", "buildSecrets": ["netrc"]})
    assert "ephemeral-dask:image.buildSecrets: there is no such key with builder docker" in text
    assert "set builder to docker-build" in text


def test_a_misspelt_key_of_a_union_section_is_refused_with_the_closest_key() -> None:
    text = refusal(image={"builder": "docker", "registry": "localhost:5001", "pulSecrets": []})
    assert "did you mean 'pullSecrets'?" in text


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("worker", "is another setting"),
        ("prefectApiKey", "is another setting"),
        ("a b", "letters, digits"),
    ],
)
def test_a_build_secret_needs_a_name_of_its_own(name: str, reason: str) -> None:
    text = refusal(image={**IMAGE, "buildSecrets": [name]})
    assert "image.buildSecrets" in text
    assert f"'{name}'" in text
    assert reason in text


def test_a_single_value_instead_of_a_list_is_refused_with_an_example() -> None:
    assert "ephemeral-dask:image.buildSecrets: must be a list" in refusal(image={**IMAGE, "buildSecrets": "netrc"})


def test_an_invalid_address_range_is_refused_with_an_example() -> None:
    text = refusal(network={"data": [{"cidr": "10.0.0.300/8", "ports": [443]}]})
    assert "ephemeral-dask:network.data.0.cidr" in text
    assert "10.0.0.0/8" in text


def test_an_existing_operator_needs_its_namespace() -> None:
    assert "ephemeral-dask:dask.operator.namespace: is missing" in refusal(dask={"operator": {"mode": "existing"}})


def test_a_misspelt_key_inside_a_list_is_refused_with_the_closest_key() -> None:
    text = refusal(worker={"pod": {"tolerations": [{"kee": "x"}]}})
    assert "ephemeral-dask:worker.pod.tolerations.0.kee: there is no such key; did you mean 'key'?" in text


def test_a_block_without_a_type_is_refused_with_an_example() -> None:
    assert "such as s3-bucket/results" in refusal(results={"store": "block", "block": "results"})


def test_a_report_without_a_result_store_is_refused() -> None:
    assert "dask.report is html, and results.store is none" in refusal(dask={"report": "html"})
    assert "dask.profiles.big.report is html" in refusal(dask={"profiles": {"big": {"report": "html"}}})
    settings.parse({"image": IMAGE, "results": {"store": "volume"}, "dask": {"report": "html"}}, stack="dev")


def test_runs_have_a_namespace_of_their_own_named_after_the_platforms_unless_it_is_set() -> None:
    assert settings.parse({"image": IMAGE}, stack="dev").namespaces == Namespaces(platform="flows", runs="flows-runs")
    own = settings.parse({"image": IMAGE, "namespace": "team", "runsNamespace": "batch"}, stack="dev")
    assert own.namespaces == Namespaces(platform="team", runs="batch")
    # Pulumi.yaml has to name a default.
    assert settings.parse({"image": IMAGE, "runsNamespace": ""}, stack="dev").namespaces.runs == "flows-runs"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"runsNamespace": "flows"}, "ephemeral-dask:runsNamespace is 'flows', which is the platform's namespace"),
        ({"namespace": "n" * 60}, "has more than 63 characters: set it"),
        ({"runsNamespace": "Runs"}, "'Runs' is not a valid Kubernetes name"),
    ],
)
def test_one_namespace_for_both_is_refused(values: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(**values)
