from __future__ import annotations

from typing import Any

import pytest

from infra import capacity, settings, validation

IMAGE = {"registry": "localhost:5001", "builder": "docker-build"}
DASK = {"maximum": 4, "ceiling": 4, "workerCpu": "1", "workerMemory": "2Gi"}


def parsed(**values: Any) -> settings.Settings:
    return validation.load_settings({"image": IMAGE, "dask": DASK, **values}, stack="dev")


def quota(cpu: str = "1000", memory: str = "4000Gi", pods: int = 10_000) -> dict[str, Any]:
    return {"cpu": cpu, "memory": memory, "pods": pods}


def test_a_run_requests_its_own_pod_its_scheduler_and_its_workers() -> None:
    one = capacity.run(parsed(), workers=2)
    assert one.pods == 4
    assert one.cpu == pytest.approx(0.25 + 0.1 + 2 * 1)
    assert one.memory == 512 * 2**20 + 256 * 2**20 + 2 * 2 * 2**30


def test_without_a_quota_a_pool_has_the_limit_of_the_settings() -> None:
    assert capacity.concurrency(parsed()) == {"dask": None}
    assert capacity.concurrency(parsed(workPools={"dask": {"concurrencyLimit": 3}})) == {"dask": 3}


@pytest.mark.parametrize(
    ("values", "runs"),
    [
        # A run at its ceiling takes 4.35 cores, 8.75Gi and 6 pods; the platform's pods are in another namespace.
        # 0.1 cores, 128Mi and 5 pods are for the retention of results, a backup and the end of runs.
        (quota(cpu="8.8"), 2),
        (quota(cpu="8.79"), 1),
        (quota(memory="27008Mi"), 3),
        (quota(memory="27007Mi"), 2),
        (quota(pods=17), 2),
        (quota(pods=16), 1),
    ],
)
def test_a_quota_limits_concurrent_runs_to_what_it_holds(values: dict[str, Any], runs: int) -> None:
    assert capacity.concurrency(parsed(quota=values)) == {"dask": runs}


def test_pools_without_a_limit_share_what_the_others_leave() -> None:
    pools = {"a": {"concurrencyLimit": 1}, "b": {}, "c": {}}
    limits = capacity.concurrency(parsed(quota=quota(cpu="60"), workPools=pools))
    assert limits["a"] == 1
    assert limits["b"] == limits["c"]
    runs = int((60 - 0.1) / 4.35)
    assert limits == {"a": 1, "b": (runs - 1) // 2, "c": (runs - 1) // 2}


def test_a_quota_below_one_run_is_refused_with_what_is_needed() -> None:
    with pytest.raises(settings.SettingsError) as caught:
        parsed(quota=quota(cpu="3"))
    text = str(caught.value)
    assert "need 4.45 cores" in text
    assert "ephemeral-dask:quota holds 3 cores" in text
    assert "raise quota, or lower dask.ceiling" in text


def test_a_limit_that_the_quota_cannot_hold_is_refused() -> None:
    with pytest.raises(settings.SettingsError, match=r"5 run\(s\) at the ceiling"):
        parsed(quota=quota(cpu="10"), workPools={"dask": {"concurrencyLimit": 5}})


@pytest.mark.parametrize(
    ("profile", "memory"),
    [
        ({"maximum": 2, "workerMemory": "16Gi"}, 2 * 16),
        # Without a maximum of its own it has the stack's.
        ({"workerMemory": "16Gi"}, 4 * 16),
        # Less than the ceiling at the stack's own size is no more than that.
        ({"maximum": 1, "workerMemory": "4Gi"}, 4 * 2),
    ],
)
def test_a_profile_that_asks_for_more_than_the_ceiling_counts_against_the_quota(
    profile: dict[str, Any], memory: int
) -> None:
    one = capacity.run(parsed(dask={**DASK, "profiles": {"large": profile}}))
    assert one.memory == 768 * 2**20 + memory * 2**30
    assert one.pods == 6


def test_large_workers_count_in_addition_to_ordinary_ones() -> None:
    profile = {"maximum": 3, "largeWorkers": {"maximum": 2, "cpu": "8", "memory": "64Gi"}}
    one = capacity.run(parsed(dask={**DASK, "profiles": {"split": profile}}))
    assert one.memory == 768 * 2**20 + (3 * 2 + 2 * 64) * 2**30
    assert one.cpu == pytest.approx(0.35 + 3 * 1 + 2 * 8)
    assert one.pods == 2 + 3 + 2


GPU = {"nvidia.com/gpu": 1}


def test_gpus_of_workers_and_large_workers_are_counted() -> None:
    profile = {"resources": {"nvidia.com/gpu": 2}, "maximum": 3}
    large = {"maximum": 2, "cpu": "1", "memory": "1Gi", "resources": {"nvidia.com/gpu": 4}}
    one = capacity.run(parsed(dask={**DASK, "profiles": {"gpu": {**profile, "largeWorkers": large}}}))
    assert one.resources == {"nvidia.com/gpu": 3 * 2 + 2 * 4}
    assert capacity.run(parsed(dask={**DASK, "workerPod": {"resources": GPU}}), workers=2).resources == {
        "nvidia.com/gpu": 2
    }
    assert capacity.run(parsed(pods={"resources": GPU}), workers=2).resources == {"nvidia.com/gpu": 4}


def test_the_scheduler_is_counted_with_its_own_size() -> None:
    plain = capacity.run(parsed(), workers=2)
    set_by_hand = capacity.run(parsed(dask={**DASK, "scheduler": {"cpu": "2", "memory": "8Gi"}}), workers=2)
    assert set_by_hand.cpu - plain.cpu == pytest.approx(1.9)
    assert set_by_hand.memory - plain.memory == 8 * 2**30 - 256 * 2**20
    many = capacity.run(parsed(dask={**DASK, "ceiling": 56}), workers=56)
    assert many.cpu == pytest.approx(0.25 + 0.5 + 56)


def test_a_quota_of_gpus_limits_concurrent_runs() -> None:
    dask = {**DASK, "workerPod": {"resources": GPU}}
    gpus = {"resources": {"nvidia.com/gpu": 9}}
    assert capacity.concurrency(parsed(dask=dask, quota=quota() | gpus)) == {"dask": 2}
    with pytest.raises(settings.SettingsError, match=r"3 nvidia.com/gpu and .* need .*, 4 nvidia.com/gpu and"):
        parsed(dask=dask, quota=quota() | {"resources": {"nvidia.com/gpu": 3}})
