from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pulumi.automation.events import EngineEvent
from rich.cells import cell_len

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import knobs, profiles
from ephemeral_dask.contract.pods import PodExtras, RunPods
from ephemeral_dask.contract.pods import encode as encode_pods
from tools import summary
from tools.summary import capacity, moments
from tools.summary.differences import ABSENT, between
from tools.summary.markdown import LIMIT

NOW = datetime(2026, 10, 23, 12, tzinfo=UTC)
SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
DEPLOYMENT = "pulumi-python:dynamic/prefect:Deployment"
POOL = "pulumi-python:dynamic/prefect:WorkPool"
NIGHTLY = {"cron": "0 3 * * *", "timezone": "Europe/Berlin", "day_or": True}


def template(*, maximum: int = 4, ceiling: int = 16, cpu: str = "500m", memory: str = "1Gi") -> dict[str, Any]:
    values = {
        knobs.MAXIMUM.default_variable: str(maximum),
        env.CEILING: str(ceiling),
        knobs.WORKER_CPU.default_variable: cpu,
        knobs.WORKER_MEMORY.default_variable: memory,
        env.API_SECRET_NAME: "prefect-api",
        env.PROFILES: profiles.encode({"large": profiles.Profile(sizes={"maximum": 12, "worker_memory": "4Gi"})}),
    }
    defaults = {"image": "r@sha256:1", "cpu_request": "400m", "memory_request": "768Mi"}
    properties = {name: {"default": value} for name, value in defaults.items()}
    return {"job_configuration": {"env": values}, "variables": {"properties": properties}}


def deployment(name: str = "search", **fields: Any) -> dict[str, Any]:
    own = {"owner": "p/s/r", "reach": {"url": "u"}, "work_pool_name": "dask"}
    return {"flow_name": "digits", "name": name, **own, "schedules": {}, **fields}


def pool(**fields: Any) -> dict[str, Any]:
    return {"name": "dask", "base_job_template": template(), **fields}


def event(
    operation: str, kind: str, old: Any, new: Any, *, stage: str = "resourcePreEvent", name: str = "r"
) -> EngineEvent:
    def state(inputs: Any) -> Any:
        return None if inputs is None else {"custom": True, "inputs": inputs}

    identity = (new or old or {}).get("name", name)
    metadata = {"op": operation, "type": kind, "urn": f"urn:pulumi:s::p::{kind}::{identity}"}
    return EngineEvent.from_json({stage: {"metadata": {**metadata, "old": state(old), "new": state(new)}}})


def diagnostic(severity: str, message: str) -> EngineEvent:
    return EngineEvent.from_json({"diagnosticEvent": {"severity": severity, "message": message}})


def shown(*events: EngineEvent, settings: dict[str, Any] | None = None) -> str:
    templates = {"dask": settings} if settings else {}
    return summary.render("dev", summary.build(summary.parse(events), templates=templates, now=NOW))


def test_a_preview_without_changes_is_one_line_and_the_mark_of_the_comment() -> None:
    text = shown(event("same", POOL, pool(), pool()), event("same", DEPLOYMENT, deployment(), deployment()))
    assert text.splitlines() == [
        "<!-- preview of stack dev -->",
        "### Stack `dev`: nothing changes in 2 resources",
    ]


def test_the_headline_counts_every_operation_once() -> None:
    text = shown(
        event("create", DEPLOYMENT, None, deployment("a")),
        event("create-replacement", DEPLOYMENT, deployment("b"), deployment("c")),
        event("replace", DEPLOYMENT, deployment("b"), deployment("c")),
        event("delete-replaced", DEPLOYMENT, deployment("b"), None),
        event("delete", DEPLOYMENT, deployment("d"), None),
        event("same", POOL, pool(), pool()),
    )
    assert "### Stack `dev`: 1 to create, 1 to replace, 1 to delete\n" in text
    assert "3 Prefect objects; 1 unchanged." in text


def test_a_deployment_is_shown_field_by_field_with_old_and_new_value() -> None:
    old = deployment(job_variables={"dask_maximum": 4}, tags=["a"], schedules={"nightly": NIGHTLY})
    new = deployment(job_variables={"dask_maximum": 8}, tags=["a", "b"], schedules={})
    text = shown(event("update", DEPLOYMENT, old, new))
    assert "**deployment** `digits/search` is updated" in text
    assert "| `job_variables.dask_maximum` | `4` | `8` |" in text
    assert '| `tags` | `["a"]` | `["a", "b"]` |' in text
    assert "| `schedules.nightly.cron` | `0 3 * * *` | - |" in text


@pytest.mark.parametrize(("flow", "name"), [("Daily Report", "every minute"), ("日本", "毎日"), ("🙂 flow", "a:b")])
def test_a_name_may_have_spaces_and_any_characters(flow: str, name: str) -> None:
    assert f"`{flow}/{name}`" in shown(event("create", DEPLOYMENT, None, deployment(name, flow_name=flow)))


def test_the_page_on_a_terminal_keeps_names_and_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    old = deployment("毎日 🙂", flow_name="日本 :smile:", tags=["あ"], description="[b]古い[/b]")
    summary.show(shown(event("update", DEPLOYMENT, old, {**old, "tags": ["🙂🙂"], "description": "新しい"})))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("deployment 日本 :smile:/毎日 🙂 is updated") for line in lines)
    head = next(number for number, line in enumerate(lines) if line.split() == ["field", "now", "then"])
    first, second = lines[head + 2 : head + 4]
    assert first.split() == ["tags", '["あ"]', '["🙂🙂"]']
    assert second.split() == ["description", "[b]古い[/b]", "新しい"]
    for line, texts in ((first, ('["あ', '["🙂')), (second, ("[b]", "新"))):
        assert [cell_len(line.partition(text)[0]) for text in texts] == [lines[head].index(w) for w in ("now", "then")]


def test_no_secret_is_shown_and_one_that_may_have_changed_is_named() -> None:
    text = shown(event("update", DEPLOYMENT, deployment(parameters=SECRET), deployment(parameters=SECRET)))
    assert "Only a secret can have changed: `parameters`" in text
    text = shown(event("update", DEPLOYMENT, deployment(parameters={"a": 1}), deployment(parameters=SECRET)))
    assert '| `parameters` | `{"a": 1}` | secret |' in text
    assert "ciphertext" not in text


def test_the_values_of_a_kubernetes_secret_are_never_shown_even_unmarked() -> None:
    canary = "Y2FuYXJ5"
    secret = {"metadata": {"name": "s", "namespace": "flows"}, "data": {"key": "b2xk"}, "stringData": {"a": "b"}}
    text = shown(
        event("update", "kubernetes:core/v1:Secret", secret, {**secret, "data": {"key": canary, "new": canary}})
    )
    assert "Secret `flows/s`" in text
    assert "`data.new`: - → secret" in text
    assert canary not in text
    assert "b2xk" not in text


def test_a_rule_that_was_added_to_a_role_outside_is_shown_alone_among_the_kubernetes_changes() -> None:
    kind = "pulumi-python:dynamic/kubernetes:ExactAccess"
    ours, theirs = ({"resources": [each], "verbs": [verb]} for each, verb in (("pods", "get"), ("secrets", "*")))
    declared, live = {"Role/flow-run": [ours]}, {"Role/flow-run": [ours, theirs]}
    text = shown(
        event("refresh", kind, declared, live, stage="resOutputsEvent", name="access"),
        event("update", kind, live, declared, name="access"),
    )
    assert "1 Kubernetes object." in text
    assert '`[Role/flow-run][1]`: `{"resources": ["secrets"], "verbs": ["*"]}` → - (edited outside)' in text
    assert "pods" not in text


def test_an_edit_from_outside_is_marked_at_its_field_alone() -> None:
    edited = deployment(description="Theirs.", tags=["a"])
    text = shown(
        event("refresh", DEPLOYMENT, deployment(description="Ours.", tags=["a"]), edited, stage="resOutputsEvent"),
        event("update", DEPLOYMENT, edited, deployment(description="Ours.", tags=["b"])),
    )
    assert "| `description` (edited outside) | `Theirs.` | `Ours.` |" in text
    assert "| `tags` | " in text


def test_what_was_deleted_outside_is_said_to_be_made_again() -> None:
    text = shown(
        event("refresh", DEPLOYMENT, deployment(), None, stage="resOutputsEvent"),
        event("create", DEPLOYMENT, None, deployment()),
    )
    assert "`digits/search` is created again (deleted outside)" in text


def test_next_run_times_stand_in_the_schedules_own_timezone_across_daylight_saving() -> None:
    text = shown(event("create", DEPLOYMENT, None, deployment(schedules={"nightly": NIGHTLY})))
    assert "schedule `nightly`: Sat 2026-10-24 03:00, Sun 2026-10-25 03:00, Mon 2026-10-26 03:00 Europe/Berlin" in text


def test_a_paused_schedule_says_so_before_its_run_times() -> None:
    asleep = deployment(schedules={"nightly": {**NIGHTLY, "active": False}})
    assert "schedule `nightly`: paused; when it is resumed: Sat 2026-10-24 03:00" in shown(
        event("create", DEPLOYMENT, None, asleep)
    )
    asleep = deployment(schedules={"nightly": NIGHTLY}, paused=True)
    assert "schedule `nightly`: the deployment is paused; when" in shown(event("create", DEPLOYMENT, None, asleep))


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"interval": 86400, "anchor_date": "2026-01-01T03:00:00Z", "timezone": "UTC"}, "Sat 2026-10-24 03:00, Sun"),
        ({"interval": 5400, "timezone": "UTC"}, "every 90 min, counted from its registration"),
        ({"rrule": "FREQ=WEEKLY;BYDAY=MO;BYHOUR=6", "timezone": "Asia/Tokyo"}, "Mon 2026-10-26 06:00, Mon 2026-11-02"),
        ({"rrule": "FREQ=DAILY;COUNT=2", "timezone": "UTC"}, "never"),
        ({"cron": summary.UNKNOWN, "timezone": "UTC"}, "known after the update"),
        ({"cron": "no cron", "timezone": "UTC"}, "the next run times are not known"),
    ],
)
def test_every_kind_of_schedule_says_when_it_runs(schedule: dict[str, Any], expected: str) -> None:
    assert moments.describe(schedule, NOW).startswith(expected)


def test_the_worst_case_of_capacity_is_workers_by_runs_by_size_before_and_after() -> None:
    old = deployment(concurrency_limit=2, job_variables={"dask_maximum": 4})
    new = deployment(concurrency_limit=3, job_variables={"dask_maximum": 8, "dask_worker_memory": "2Gi"})
    text = shown(event("same", POOL, pool(), pool()), event("update", DEPLOYMENT, old, new))
    assert "| `digits/search` | 4 x 2 → **8 x 3** | 0.5 CPU, 1 GiB → **0.5 CPU, 2 GiB** | 5 → **13.5** |" in text
    assert "| **all deployments (1)** | 8 workers → **24 workers** |  | 5 → **13.5** | 10 GiB → **51 GiB** |" in text
    assert "ceiling of 16" in text


def test_where_nothing_limits_the_runs_the_largest_single_run_is_named() -> None:
    large = deployment("large", job_variables={"dask_maximum": 10})
    text = shown(
        event("same", POOL, pool(), pool()),
        event("create", DEPLOYMENT, None, deployment()),
        event("create", DEPLOYMENT, None, large),
    )
    assert "| `digits/search` | - → **4 per run** |" in text
    assert "∞" not in text
    assert "Nothing limits the runs of `digits/search`, `digits/large`: set a `concurrency_limit` for them" in text
    assert "The largest single run is one of `digits/large`: 10 workers" in text


def test_the_pools_own_limit_bounds_each_deployment_and_the_total() -> None:
    limited = pool(concurrency_limit=2)
    text = shown(
        event("same", POOL, limited, limited),
        event("create", DEPLOYMENT, None, deployment("large", job_variables={"dask_maximum": 10})),
        event("create", DEPLOYMENT, None, deployment("small", job_variables={"dask_maximum": 1})),
    )
    assert "| `digits/large` | - → **10 x 2** |" in text
    assert "| - → **20 workers** |" in text


def test_no_run_counts_for_more_workers_than_the_ceiling() -> None:
    limits = capacity.pool(pool(concurrency_limit=1))
    assert limits
    demand = capacity.demand(deployment(job_variables={"dask_maximum": 50}), limits)
    assert demand
    assert demand.workers == 16


def test_a_profile_gives_the_size_and_a_job_variable_goes_before_it() -> None:
    limits = capacity.pool(pool())
    assert limits
    large = capacity.demand(deployment(job_variables={"dask_profile": "large"}), limits)
    assert large
    assert large.groups == (capacity.Group(workers=12, cpu=0.5, memory=4 * 2**30),)
    small = capacity.demand(deployment(job_variables={"dask_profile": "large", "dask_maximum": 2}), limits)
    assert small
    assert small.groups == (capacity.Group(workers=2, cpu=0.5, memory=4 * 2**30),)


def test_large_workers_are_counted_and_shown_beside_the_ordinary_ones() -> None:
    large = profiles.LargeWorkers(maximum=2, cpu="8", memory="64Gi")
    split = profiles.encode({"split": profiles.Profile(sizes={"maximum": 3}, large=large)})
    with_split = pool(concurrency_limit=1)
    with_split["base_job_template"]["job_configuration"]["env"][env.PROFILES] = split
    text = shown(
        event("same", POOL, with_split, with_split),
        event("create", DEPLOYMENT, None, deployment("a", job_variables={"dask_profile": "split"})),
    )
    assert "| `digits/a` | - → **3 + 2 x 1** | - → **0.5 CPU, 1 GiB; 8 CPU, 64 GiB** |" in text
    assert "| - → **5 workers** |" in text


def test_gpus_are_counted_and_held_against_the_quota() -> None:
    gpu = RunPods(worker=PodExtras(resources={"nvidia.com/gpu": "1"}))
    with_gpu = pool(concurrency_limit=2)
    with_gpu["base_job_template"]["job_configuration"]["env"][env.PODS] = encode_pods(gpu)
    hard = {"spec": {"hard": {"requests.nvidia.com/gpu": "4"}}}
    text = shown(
        event("same", POOL, with_gpu, with_gpu),
        event("same", "kubernetes:core/v1:ResourceQuota", hard, hard),
        event("create", DEPLOYMENT, None, deployment("a", job_variables={"dask_maximum": 3})),
    )
    assert "**0.5 CPU, 1 GiB, 1 nvidia.com/gpu**" in text
    assert "**6 workers, 6 nvidia.com/gpu**" in text
    assert "nvidia.com/gpu 6 of 4, **more than it admits**" in text


def test_additions_to_pods_are_shown_as_fields() -> None:
    def declared(**values: str) -> dict[str, Any]:
        made = pool()
        text = encode_pods(RunPods(flow=PodExtras(env=values)))
        made["base_job_template"]["job_configuration"]["env"][env.PODS] = text
        return made

    text = shown(event("update", POOL, declared(A="1"), declared(A="2")))
    assert "| `pods.flow.env.A` | `1` | `2` |" in text


def test_each_pool_limits_its_own_deployments_alone() -> None:
    text = shown(
        event("same", POOL, pool(concurrency_limit=1), pool(concurrency_limit=1)),
        event("same", POOL, pool(name="gpu", concurrency_limit=2), pool(name="gpu", concurrency_limit=2)),
        event("create", DEPLOYMENT, None, deployment("a")),
        event("create", DEPLOYMENT, None, deployment("b", concurrency_limit=5)),
        event("create", DEPLOYMENT, None, deployment("c", work_pool_name="gpu")),
    )
    assert "| **all deployments (3)** | - → **12 workers** |" in text


def test_a_deployment_of_unknown_size_is_named_and_not_counted() -> None:
    text = shown(
        event("same", POOL, pool(), pool()),
        event("create", DEPLOYMENT, None, deployment("a", concurrency_limit=1)),
        event("create", DEPLOYMENT, None, deployment("b", concurrency_limit=1, job_variables=SECRET)),
        event(
            "create",
            DEPLOYMENT,
            None,
            deployment("c", concurrency_limit=1, job_variables={"dask_maximum": "{{ prefect.variables.n }}"}),
        ),
    )
    assert "| - → **4 workers** |" in text
    assert "Not counted, because the size is secret or known only to the worker: `digits/b`, `digits/c`." in text


def test_the_worst_case_is_held_against_the_quota_of_runs() -> None:
    quota = {
        "metadata": {"name": "q", "namespace": "flows"},
        "spec": {"hard": {"requests.cpu": "1", "limits.memory": "8Gi"}},
    }
    text = shown(
        event("same", POOL, pool(), pool()),
        event("same", "kubernetes:core/v1:ResourceQuota", quota, quota),
        event("create", DEPLOYMENT, None, deployment(concurrency_limit=1)),
    )
    assert "CPU 2.5 of 1 (250%), **more than it admits**" in text
    assert "memory 5 GiB of 8 GiB (62%), fits" in text


def test_a_pool_whose_image_is_yet_to_be_built_is_compared_with_what_the_settings_say() -> None:
    made = template(maximum=8)
    del made["job_configuration"]["env"][env.API_SECRET_NAME]
    made["variables"]["properties"]["image"]["default"] = summary.UNKNOWN
    new = pool(base_job_template=summary.UNKNOWN)
    limited = deployment(concurrency_limit=1)
    text = shown(event("update", POOL, pool(), new), event("same", DEPLOYMENT, limited, limited), settings=made)
    assert f"env.{knobs.MAXIMUM.default_variable}` | `4` | `8` |" in text
    assert "image.default` | `r@sha256:1` | known after the update |" in text
    assert env.API_SECRET_NAME not in text
    assert "4 workers → **8 workers**" in text


def test_an_image_that_is_built_says_that_its_digest_comes_later() -> None:
    image = {"tags": ["r:dev"]}
    text = shown(event("update", "docker-build:index:Image", image, image, name="image-flow"))
    assert "1 image." in text
    assert "- `image-flow` is built again; its digest is known after the build" in text


def test_kubernetes_changes_name_kind_object_and_fields() -> None:
    def worker(replicas: int, image: str) -> dict[str, Any]:
        spec = {"replicas": replicas, "template": {"spec": {"containers": [{"image": image, "name": "worker"}]}}}
        return {"metadata": {"name": "prefect-worker", "namespace": "flows"}, "spec": spec}

    text = shown(
        event("update", "kubernetes:apps/v1:Deployment", worker(1, "a"), worker(2, "b")),
        event("create", "kubernetes:core/v1:ServiceAccount", None, {"metadata": {"name": "x", "namespace": "flows"}}),
    )
    assert "| updated | Deployment `flows/prefect-worker` | `spec.replicas`: `1` → `2`<br>" in text
    assert "`spec.template.spec.containers[0].image`: `a` → `b` |" in text
    assert "- created: ServiceAccount `flows/x`" in text


def test_what_goes_into_a_namespace_that_is_yet_to_be_made_is_not_said_to_go_into_default() -> None:
    def account(namespace: str) -> dict[str, Any]:
        return {"metadata": {"name": "x", "namespace": namespace}}

    text = shown(
        event("create", "kubernetes:core/v1:Namespace", None, {"metadata": {"name": "flows"}}),
        event("create", "kubernetes:core/v1:ServiceAccount", None, account("default"), name="a"),
        event("create", "kubernetes:core/v1:ConfigMap", None, account("other"), name="b"),
    )
    assert "ServiceAccount `flows/x`" in text
    assert "ConfigMap `other/x`" in text
    text = shown(
        event("create", "kubernetes:core/v1:Namespace", None, {"metadata": {"name": "flows"}}),
        event("create", "kubernetes:core/v1:Namespace", None, {"metadata": {"name": "flows-runs"}}, name="runs"),
        event("create", "kubernetes:core/v1:ServiceAccount", None, account("default"), name="a"),
    )
    assert "ServiceAccount `x`" in text


def test_a_failed_preview_says_the_errors_sentences_and_nothing_else() -> None:
    plan = summary.parse(
        [diagnostic("error", "prefect.yaml is not valid: <{%reset%}>line 3\n"), diagnostic("error", "preview failed")]
    )
    text = summary.failure("dev", plan, "error: update failed")
    assert "the preview failed" in text
    assert "prefect.yaml is not valid: line 3" in text
    assert "update failed" not in text
    assert summary.failure("dev", summary.Plan(), "error: no such backend").count("no such backend") == 1


def test_what_the_provider_warns_of_is_repeated_and_other_output_is_not() -> None:
    lines = [
        diagnostic("info#err", "warning: Prefect work pool 'p' was not compared."),
        diagnostic("info#err", "a stray print"),
    ]
    text = shown(*lines, event("same", POOL, pool(), pool()))
    assert "> `warning: Prefect work pool 'p' was not compared.`" in text
    assert "stray" not in text


def test_a_value_cannot_break_the_table_or_mention_anybody() -> None:
    text = shown(event("create", DEPLOYMENT, None, deployment(description="a|b\n`@team` <b>")))
    assert r"| `description` | `a\|b '@team' <b>` |" in text


def test_a_comment_never_outgrows_what_github_takes() -> None:
    many = [
        event("create", DEPLOYMENT, None, deployment(f"d{n}", description="x" * 90, tags=["y" * 90]))
        for n in range(400)
    ]
    text = shown(*many)
    assert len(text) <= LIMIT
    assert "Cut here" in text
    assert len(summary.failure("dev", summary.Plan(errors=("e" * 99_999,)), "")) <= LIMIT


def test_a_cut_inside_an_error_closes_its_fence() -> None:
    text = summary.failure("dev", summary.Plan(errors=("\n".join(["e" * 50] * 2000),)), "")
    assert text.count("```") % 2 == 0


def test_differences_name_the_innermost_fields() -> None:
    def differences(old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
        return ((item.path, item.old, item.new) for item in between(old, new))

    assert list(differences({"a": {"b.c": 1}}, {"a": {"b.c": 2}})) == [("a[b.c]", 1, 2)]
    assert list(differences({"a": [{"x": 1}]}, {"a": [{"x": 2}]})) == [("a[0].x", 1, 2)]
    assert list(differences({"a": [1]}, {"a": [1, 2]})) == [("a", [1], [1, 2])]
    one, two = {"x": 1}, {"x": 2}
    assert list(differences({"a": [one]}, {"a": [one, two]})) == [("a[1]", ABSENT, two)]
    assert list(differences({"a": [one, two]}, {"a": [one]})) == [("a[1]", two, ABSENT)]
    assert list(differences({"a": [one]}, {"a": [two, one]})) == [("a", [one], [two, one])]
    assert list(differences({"a": []}, {"a": [one]})) == [("a", [], [one])]
    assert list(differences({}, {"a": {"b": 1}})) == [("a.b", ABSENT, 1)]
    assert list(differences({"a": 1}, {"a": 1})) == []


def with_profiles(**profiles_by_name: profiles.Profile) -> dict[str, Any]:
    declared = pool()
    declared["base_job_template"]["job_configuration"]["env"][env.PROFILES] = profiles.encode(profiles_by_name)
    return declared


def test_a_changed_profile_is_shown_by_its_field() -> None:
    spot = profiles.Profile(sizes={"maximum": 12}, pod=PodExtras(env={"GDAL_CACHEMAX": "256"}))
    old = with_profiles(spot=spot)
    new = with_profiles(spot=replace(spot, sizes={"maximum": 13}))
    text = shown(event("update", POOL, old, new))
    assert "| `profiles.spot.maximum` | `12` | `13` |" in text
    assert "GDAL_CACHEMAX" not in text


def test_a_changed_ceiling_is_shown_as_the_pools_own_field() -> None:
    text = shown(event("update", POOL, pool(), pool(base_job_template=template(ceiling=18))))
    assert "| `ceiling` | `16` | `18` |" in text
    assert env.CEILING not in text


def test_a_new_pool_lists_its_ceiling_and_its_profiles() -> None:
    text = shown(event("create", POOL, None, pool()))
    assert "| `ceiling` | `16` |" in text
    assert "| `profiles.large.maximum` | `12` |" in text
    assert "job_configuration" not in text


def test_long_values_are_cut_around_their_first_difference() -> None:
    text = shown(
        event(
            "update", DEPLOYMENT, deployment(description="x" * 300 + "old"), deployment(description="x" * 300 + "new")
        )
    )
    assert "old` |" in text
    assert "new` |" in text
    assert "`…" in text


def test_an_update_without_a_field_says_how_it_signs_in() -> None:
    def one(name: str, auth: str) -> dict[str, Any]:
        return deployment(name, reach={"url": "u", "auth": auth})

    text = shown(*(event("update", DEPLOYMENT, one(name, "none"), one(name, "auth-string")) for name in ("a", "b")))
    assert "- how Pulumi signs in to Prefect changes (none → auth-string): deployment `digits/a`, deployment" in text
    assert "is updated" not in text


def test_the_programs_own_helpers_are_left_out() -> None:
    kinds = ("prefect:Drain", "kubernetes:Preflight", "kubernetes:ExactAccess")
    text = shown(*(event("update", f"pulumi-python:dynamic/{kind}", {"a": 1}, {"a": 2}) for kind in kinds))
    assert "nothing changes in 0 resources" in text


def test_capacity_that_does_not_change_is_left_out() -> None:
    limited = deployment(concurrency_limit=1)
    text = shown(event("same", POOL, pool(), pool()), event("update", DEPLOYMENT, limited, {**limited, "tags": ["a"]}))
    assert "Dask capacity" not in text


def test_an_image_without_a_digest_is_known_after_the_update() -> None:
    text = shown(event("update", DEPLOYMENT, deployment(image="r/f@sha256:1"), deployment(image="r/f@")))
    assert "| `image` | `r/f@sha256:1` | known after the update |" in text
