from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any

import pulumi
import pytest
import yaml

from infra import program
from tests.mocks import Recorder, Render
from tools.paths import ROOT

CONFIG = {
    key.removeprefix("ephemeral-dask:"): value
    for key, value in yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"].items()
    # Settings of the sample flows.
    if key != "ephemeral-dask:deployments"
}
THEIRS = {"kind": "postgresql", "urlSecret": {"name": "pg", "key": "url"}}
PASSWORD = {"prefect": {"mode": "embedded"}, "prefectAuthString": "admin:marked"}
CLOUD = {"mode": "cloud", "apiUrl": "https://api.example.com/api/accounts/a/workspaces/b"}


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    result: dict[str, Any] = {}
    monkeypatch.setattr(pulumi, "export", result.__setitem__)
    return result


def test_the_dev_stack_is_a_server_a_worker_an_operator_and_its_registrations(
    render: Render, exported: dict[str, Any]
) -> None:
    recorder = render(program.deploy, CONFIG)
    deployed = {each["metadata"]["name"] for each in recorder.of("apps/v1:Deployment")}
    assert deployed == {"prefect-server", "prefect-worker-dask", "dask-operator", "dask-reaper"}
    assert len(recorder.of("prefect:WorkPool")) == 1
    assert recorder.of("prefect:Deployment")
    assert set(exported["platform"]) == set(exported) - {"platform"}
    assert set(exported) == {
        "platform",
        "contract",
        "prefectServerLabels",
        "prefectServerPort",
        "namespace",
        "runsNamespace",
        "prefectApiUrl",
        "prefectUiUrl",
        "workPool",
        "workPools",
        "flowImage",
        "platformImage",
        "deployments",
    }


@pytest.mark.usefixtures("exported")
def test_a_stack_on_prefect_cloud_runs_no_server_of_its_own(render: Render) -> None:
    recorder = render(program.deploy, {**CONFIG, "prefect": CLOUD, "prefectApiKey": "pnu_marked"})
    deployed = {each["metadata"]["name"] for each in recorder.of("apps/v1:Deployment")}
    assert "prefect-server" not in deployed
    [pool] = recorder.of("prefect:WorkPool")
    assert "pnu_marked" not in str(pool)


@pytest.mark.usefixtures("exported")
def test_a_new_image_updates_the_pools_template_and_no_deployment(render: Render) -> None:
    recorder = render(program.deploy, CONFIG)
    [pool] = recorder.of("prefect:WorkPool")
    assert "@sha256:" in str(pool["base_job_template"])
    assert all("@sha256:" not in str(each) for each in recorder.of("prefect:Deployment"))


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({**CONFIG, "namspace": "x"}, "did you mean 'namespace'?"),
        ({**CONFIG, "workPools": {"other": {}}}, "names work pool 'dask'"),
        ({**CONFIG, "deployments": {"primes/default": {"jobVariables": {"dask_maximun": 3}}}}, "dask_maximum"),
        ({**CONFIG, "deployments": {"primes/default": {"jobVariables": {"dask_maximum": 99}}}}, "dask_maximum"),
        ({**CONFIG, "deployments": {"primes/default": {"jobVariables": {"dask_profile": "hughe"}}}}, "'hughe'"),
    ],
)
def test_mistakes_are_refused_before_the_first_resource(render: Render, config: dict[str, Any], sentence: str) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        render(program.deploy, config)
    assert sentence in str(caught.value)


@pytest.mark.usefixtures("exported")
def test_a_work_pool_with_an_image_of_its_own_has_a_worker_and_a_template_of_its_own(render: Render) -> None:
    image = {**CONFIG["image"], "flows": {"gpu": {"requirements": "requirements/flows.txt"}}}
    pools = {"dask": {}, "gpu": {"image": "gpu", "flowRun": {"cpuRequest": "1"}}}
    recorder = render(program.deploy, {**CONFIG, "image": image, "workPools": pools})
    workers = {each["metadata"]["name"] for each in recorder.of("apps/v1:Deployment")}
    assert {"prefect-worker-dask", "prefect-worker-gpu"} <= workers
    templates = {each["name"]: str(each["base_job_template"]) for each in recorder.of("prefect:WorkPool")}
    assert "ephemeral-dask-flow-gpu@" in templates["gpu"]
    assert "ephemeral-dask-flow@" in templates["dask"]


@pytest.mark.usefixtures("exported")
def test_an_auth_string_of_an_embedded_server_is_passed_by_reference_only(render: Render) -> None:
    recorder = render(program.deploy, {**CONFIG, **PASSWORD})
    secrets = recorder.of(":Secret")
    # A pod can refer to Secrets of its own namespace only.
    assert {each["metadata"]["namespace"] for each in secrets} == {"flows", "flows-runs"}
    # The mapping is how Pulumi marks a value as secret.
    assert {each["stringData"]["value"]["value"] for each in secrets} == {"admin:marked"}
    for each in recorder.resources:
        if not each.typ.endswith(":Secret"):
            assert "admin:marked" not in str(each.inputs)
    [pool] = recorder.of("prefect:WorkPool")
    assert "prefect-api" in str(pool["base_job_template"])


@pytest.mark.usefixtures("exported")
def test_nothing_of_the_platform_but_server_worker_and_reaper_reads_the_prefect_credential(render: Render) -> None:
    results = {"store": "volume", "keepDays": 30}
    recorder = render(program.deploy, {**CONFIG, **PASSWORD, "results": results})
    naming_it = {
        f"{each.typ.rpartition(':')[2]} {each.inputs['metadata']['name']}"
        for each in recorder.resources
        if "'prefect-api'" in str(each.inputs) and "metadata" in each.inputs
    }
    policies = {each for each in naming_it if each.startswith("ValidatingAdmissionPolicy")}
    assert naming_it - policies == {
        *("Secret prefect-api",),
        *(f"Deployment {name}" for name in ("prefect-server", "prefect-worker-dask", "dask-reaper")),
    }


@pytest.mark.usefixtures("exported")
def test_both_copies_of_the_password_wait_for_live_runs_before_they_change(render: Render) -> None:
    after: dict[str, set[str]] = {}

    def look(args: pulumi.ResourceTransformationArgs) -> None:
        before = args.opts.depends_on if isinstance(args.opts.depends_on, list) else []
        after[args.name] = {type(each).__name__ for each in before}

    def build() -> None:
        pulumi.runtime.register_stack_transformation(look)
        program.deploy()

    recorder = render(build, {**CONFIG, **PASSWORD})
    [gate] = recorder.of(":CredentialGate")
    # Runs are in one namespace, and the Secret that is compared is in the other.
    assert (gate["namespace"], gate["secret_namespace"]) == ("flows-runs", "flows")
    copies = ("prefect-credential-secret", "runs-prefect-credential-secret")
    assert [after[name] for name in copies] == [{"CredentialGate"}, {"CredentialGate"}]


@pytest.mark.usefixtures("exported")
def test_a_stack_on_an_existing_operator_installs_none(render: Render) -> None:
    recorder = render(program.deploy, {**CONFIG, "dask": EXISTING})
    assert not recorder.of("v1:CustomResourceDefinition")
    assert "dask-operator" not in {each["metadata"]["name"] for each in recorder.of("apps/v1:Deployment")}


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"prefect": CLOUD}, "prefectApiKey"),
        ({"prefect": {"mode": "embedded", "database": {"kind": "postgresql"}}}, "prefectDatabaseUrl"),
        ({"prefect": {"mode": "embedded", "redis": {}}}, "prefectRedisUrl"),
        ({"prefect": {"mode": "embedded"}}, "prefectAuthString"),
    ],
)
def test_a_missing_secret_is_refused_before_the_first_resource(
    render: Render, config: dict[str, Any], key: str
) -> None:
    with pytest.raises(pulumi.RunError, match=f"pulumi config set --secret {key}"):
        render(program.deploy, {**CONFIG, **config})


def test_all_missing_secrets_are_named_at_once_with_the_file(render: Render) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        render(program.deploy, {**CONFIG, "prefect": {"mode": "embedded", "database": {"kind": "postgresql"}}})
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("Pulumi.dev.yaml is not valid")
    assert [line.split(":")[1] for line in lines[1:]] == ["prefectDatabaseUrl", "prefectAuthString"]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"prefect": {"mode": "embedded"}}, "or write `auth: none` in prefect to go without"),
        ({"prefect": {"mode": "embedded", "ingress": {"host": "a.example.com"}}}, "and prefect.ingress is set"),
        ({"prefect": {"mode": "embedded"}, "protect": True}, "and protect is set"),
        ({"prefect": {"mode": "embedded"}, "network": {"prefectClients": ["x"]}}, "and network.prefectClients is set"),
        (
            {
                "prefect": {
                    "mode": "embedded",
                    "database": {"kind": "postgresql", "urlSecret": {"name": "a", "key": "b"}},
                }
            },
            "and prefect.database.kind postgresql is set",
        ),
    ],
)
def test_a_server_of_the_stack_needs_a_password_and_goes_without_only_where_no_one_else_uses_it(
    render: Render, config: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        render(program.deploy, {**CONFIG, **config})
    text = str(caught.value)
    assert "ephemeral-dask:prefectAuthString: is not set, and without a password, user:password" in text
    assert sentence in text
    assert ("auth: none" in text) == (config == {"prefect": {"mode": "embedded"}})


def test_a_password_and_the_setting_for_none_contradict_each_other(render: Render) -> None:
    with pytest.raises(pulumi.RunError, match=r"prefectAuthString: is set, and prefect\.auth is none"):
        render(program.deploy, {**CONFIG, "prefectAuthString": "admin:marked"})


@pytest.mark.usefixtures("exported")
def test_the_address_of_redis_is_in_a_secret_of_its_own_and_in_no_pod(render: Render) -> None:
    database = {"kind": "postgresql", "urlSecret": {"name": "pg", "key": "url"}}
    prefect = {"mode": "embedded", "database": database, "redis": {}, "replicas": 2, "backgroundServices": "apart"}
    recorder = render(
        program.deploy, {**CONFIG, **PASSWORD, "prefect": prefect, "prefectRedisUrl": "redis://u:marked@r:6379/0"}
    )
    [made] = [each for each in recorder.of("v1:Secret") if each["metadata"]["name"] == "prefect-redis"]
    assert "redis://u:marked@r:6379/0" in str(made)
    for deployment in recorder.of("apps/v1:Deployment"):
        assert "marked" not in str(deployment)
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        if deployment["metadata"]["name"] in ("prefect-server", "prefect-services"):
            assert {"secretKeyRef": {"name": "prefect-redis", "key": "value"}} in [
                variable.get("valueFrom") for variable in container["env"]
            ]


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize(
    ("results", "claims"),
    [
        ({"store": "none"}, []),
        ({"store": "block", "block": "remote-file-system/results"}, []),
        ({"store": "volume"}, ["results"]),
        ({"store": "volume", "existingClaim": "shared"}, []),
    ],
)
def test_a_result_volume_is_created_only_for_a_store_without_an_existing_claim(
    render: Render, results: dict[str, Any], claims: list[str]
) -> None:
    recorder = render(program.deploy, {**CONFIG, "results": results})
    made = [each["metadata"]["name"] for each in recorder.of("v1:PersistentVolumeClaim")]
    assert [name for name in made if name == "results"] == claims


@pytest.mark.usefixtures("exported")
def test_a_destroy_of_a_protected_stack_fails_before_anything_is_deleted(render: Render) -> None:
    """What is deleted first is protected as well as what holds data."""
    result: dict[str, bool] = {}

    def look(args: pulumi.ResourceTransformationArgs) -> None:
        result[args.name] = bool(args.opts.protect)

    def build() -> None:
        pulumi.runtime.register_stack_transformation(look)
        program.deploy()

    render(build, {**CONFIG, **PASSWORD, "protect": True})
    assert {name for name, protected in result.items() if protected} == {
        "drain",
        "flows-namespace",
        "runs-namespace",
        "prefect-server-volume",
        "results-claim",
    }


EXISTING = {**CONFIG["dask"], "operator": {"mode": "existing", "namespace": "dask-operator"}}
SEVERAL = {
    "mode": "embedded",
    "database": {"kind": "postgresql", "urlSecret": {"name": "pg", "key": "url"}},
    "redis": {"urlSecret": {"name": "redis", "key": "url"}},
    "replicas": 2,
    "backgroundServices": "apart",
}


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"dask": EXISTING},
        {"prefect": SEVERAL, "prefectAuthString": "admin:marked"},
        {"network": {"policies": False}},
    ],
    ids=str,
)
def test_exact_access_covers_every_role_binding_and_policy(render: Render, settings: dict[str, Any]) -> None:
    recorder = render(program.deploy, {**CONFIG, **settings})
    declared: dict[str, dict[str, Any]] = {"flows": {}, "flows-runs": {}}
    for each in recorder.manifests():
        for kind, field in (("Role", "rules"), ("RoleBinding", "subjects"), ("NetworkPolicy", "spec")):
            if each["kind"] == kind:
                declared[each["metadata"]["namespace"]][f"{kind}/{each['metadata']['name']}"] = each[field]
    held = {
        each["namespace"]: {name: content for name, content in each.items() if "/" in name}
        for each in recorder.of("kubernetes:ExactAccess")
    }
    assert held == declared
    assert len(declared["flows-runs"]) >= 6
    assert not any(name.startswith("Role") for name in declared["flows"])


@pytest.mark.usefixtures("exported")
def test_every_admission_policy_is_bound_under_a_name_of_the_stack_and_none_is_there_without_the_setting(
    render: Render,
) -> None:
    recorder = render(program.deploy, {**CONFIG, "runsNamespace": "mine"})
    policies = {each["metadata"]["name"] for each in recorder.of(":ValidatingAdmissionPolicy")}
    bindings = {each["metadata"]["name"]: each["spec"] for each in recorder.of(":ValidatingAdmissionPolicyBinding")}
    assert set(bindings) == policies
    assert all(name.startswith("ephemeral-dask-mine-") for name in policies)
    of_flow_pods = bindings["ephemeral-dask-mine-results"].pop("paramRef")
    assert of_flow_pods["namespace"] == "mine"
    assert all(spec == {"policyName": name, "validationActions": ["Deny"]} for name, spec in bindings.items())

    without = render(program.deploy, {**CONFIG, "admission": "false"})
    assert without.of(":ValidatingAdmissionPolicy") == without.of(":ValidatingAdmissionPolicyBinding") == []
    assert [each["admission"] for each in without.of(":Preflight")] == [False]


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize("builder", ["docker-build", "docker"])
def test_nothing_of_a_stack_names_the_folder_that_it_was_cloned_to(render: Render, builder: str) -> None:
    recorder = render(program.deploy, {**CONFIG, "image": {"builder": builder, "registry": "localhost:5001"}})
    assert recorder.resources
    assert [each.name for each in recorder.resources if str(ROOT) in str(each.inputs)] == []


NETRC = {**CONFIG, "image": {**CONFIG["image"], "buildSecrets": ["netrc"]}}


@pytest.mark.usefixtures("exported")
def test_a_build_secret_reaches_only_the_flow_images_and_only_as_a_secret(render: Render) -> None:
    image = {**NETRC["image"], "flows": {"gpu": {}}}
    recorder = render(program.deploy, {**NETRC, "image": image, "netrc": "marked"}, secrets=["netrc"])
    build_secrets = {
        each.name: each.inputs.pop("secrets", {}) for each in recorder.resources if each.typ.endswith(":Image")
    }
    # The mapping is how Pulumi marks a value as secret.
    result = {name: secrets["value"] for name, secrets in build_secrets.items() if secrets}
    assert result == {"image-flow": {"netrc": "marked"}, "image-flow-gpu": {"netrc": "marked"}}
    assert [each.name for each in recorder.resources if "marked" in str(each.inputs)] == []


@pytest.mark.parametrize(("values", "reason"), [({}, "is not set"), ({"netrc": "marked"}, "is not encrypted")])
def test_a_build_secret_that_is_missing_or_no_secret_is_refused_with_file_key_and_remedy(
    render: Render, values: dict[str, str], reason: str
) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        render(program.deploy, {**NETRC, **values})
    text = str(caught.value)
    assert text.startswith("Pulumi.dev.yaml is not valid")
    assert f"ephemeral-dask:netrc: {reason}" in text
    assert "pulumi config set --secret netrc < FILE" in text
    assert "marked" not in text


def test_a_secret_that_no_build_names_is_refused(render: Render) -> None:
    with pytest.raises(pulumi.RunError) as caught:
        render(program.deploy, {**CONFIG, "netrc": "marked"}, secrets=["netrc"])
    assert "ephemeral-dask:netrc" in str(caught.value)
    assert "marked" not in str(caught.value)


POSTGRESQL = {"mode": "embedded", "database": {"kind": "postgresql"}, "backgroundServices": "together"}
SECRETS = {"prefectAuthString": "admin:marked", "prefectDatabaseUrl": "postgresql+asyncpg://u:marked@h/d"}


def annotated(recorder: Recorder) -> dict[str, dict[str, Any]]:
    """Deployment -> those annotations of its pods that bring them down with a Secret."""
    return {
        each["metadata"]["name"]: result
        for each in recorder.of("apps/v1:Deployment")
        if (result := each["spec"]["template"]["metadata"].get("annotations"))
    }


@pytest.mark.usefixtures("exported")
def test_pods_that_read_a_secret_of_the_stack_are_replaced_with_it_and_no_others_are(render: Render) -> None:
    recorder = render(program.deploy, {**CONFIG, "prefect": POSTGRESQL, **SECRETS})
    auth = {"ephemeral-dask/prefect-api": "prefect-credential-secret-uid"}
    address = {"ephemeral-dask/prefect-database": "prefect-database-secret-uid"}
    assert annotated(recorder) == {
        "dask-reaper": auth,
        "prefect-server": {**auth, **address},
        "prefect-worker-dask": auth,
    }


@pytest.mark.usefixtures("exported")
def test_a_preview_of_a_new_secret_shows_the_pods_that_read_it_as_changed(render: Render) -> None:
    recorder = render(program.deploy, {**CONFIG, "prefect": POSTGRESQL, **SECRETS}, preview=True)
    shown = {name: set(map(str, result.values())) for name, result in annotated(recorder).items()}
    assert set(shown) == {"dask-reaper", "prefect-server", "prefect-worker-dask"}
    assert not any("uid" in value for values in shown.values() for value in values)


@pytest.mark.usefixtures("exported")
def test_an_existing_secret_is_not_watched(render: Render) -> None:
    theirs = {"name": "mine", "key": "value"}
    prefect = {"mode": "embedded", "authSecret": theirs, "database": {"kind": "postgresql", "urlSecret": theirs}}
    recorder = render(program.deploy, {**CONFIG, "prefect": prefect})
    assert not recorder.of(":Secret")
    assert annotated(recorder) == {}


def test_the_program_imports_only_what_its_stack_uses() -> None:
    """Each of these takes as long to import as everything that an empty program does."""
    program = (
        "import sys\nimport infra.program\n"
        "heavy = 'pulumi_docker pulumi_docker_build pydantic.v1 prefect httpx kr8s'.split()\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("exported")
@pytest.mark.parametrize("settings", [CONFIG, {**CONFIG, "prefect": {"mode": "nonsense"}}])
def test_tracebacks_of_errors_are_complete_after_the_program(render: Render, settings: dict[str, Any]) -> None:
    with contextlib.suppress(pulumi.RunError):
        render(program.deploy, settings)
    assert not hasattr(sys, "tracebacklimit")
