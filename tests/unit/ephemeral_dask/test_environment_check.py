from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from distributed import LocalCluster
from distributed.core import rpc
from distributed.versions import get_versions

from ephemeral_dask import environment_check
from ephemeral_dask.contract.causes import Cause

A, B = "sha256:" + "a" * 64, "sha256:" + "b" * 64


def pod(name: str, image_id: str | None) -> dict[str, Any]:
    status = {} if image_id is None else {"containerStatuses": [{"imageID": image_id}]}
    return {"metadata": {"name": name}, "status": status}


def versions(**packages: str | None) -> dict[str, Any]:
    return {"packages": {"python": "3.11", "dask": "1", **packages}}


def test_a_pod_that_runs_another_image_than_the_flow_pod_is_named_with_both_digests() -> None:
    [clause] = environment_check.different_images(
        pod("flow", f"registry/flow@{A}"), [pod("s", f"mirror/flow@{A}"), pod("w", f"registry/flow@{B}")]
    )
    assert clause == "pod w runs image sha256:bbbbbbbbbbbb, the flow pod sha256:aaaaaaaaaaaa"


@pytest.mark.parametrize("silent", [None, "", "sha256:" + "c" * 64, "registry/flow:1"])
def test_a_node_that_does_not_name_a_digest_is_not_a_difference(silent: str | None) -> None:
    assert environment_check.different_images(pod("flow", f"registry/flow@{A}"), [pod("w", silent)]) == []
    assert environment_check.different_images(pod("flow", silent), [pod("w", f"registry/flow@{A}")]) == []
    assert environment_check.different_images(None, [pod("w", f"registry/flow@{A}")]) == []


def test_a_library_of_another_version_or_a_missing_one_is_named_with_where_it_is() -> None:
    clauses = environment_check.different_versions(
        versions(numpy="2.0"), versions(dask="2", numpy="2.0"), {"tcp://w": versions(numpy=None)}
    )
    assert clauses == [
        "dask is 1 in the flow pod, scheduler has 2",
        "numpy is 2.0 in the flow pod, worker tcp://w has none",
    ]


def test_another_python_is_named_and_is_among_the_versions_that_dask_reports() -> None:
    [clause] = environment_check.different_versions(versions(), versions(python="3.13"), {"tcp://w": versions()})
    assert clause == "python is 3.11 in the flow pod, scheduler has 3.13"
    assert str(get_versions()["packages"]["python"]).startswith("{}.{}.".format(*sys.version_info))


def test_equal_versions_do_not_differ() -> None:
    assert environment_check.different_versions(versions(), versions(), {"tcp://w": versions()}) == []


def compare(pods: list[dict[str, Any]]) -> Any:
    async def ask() -> Any:
        local: Any = LocalCluster(n_workers=1, processes=False, asynchronous=True, dashboard_address=":0")
        async with local, rpc(local.scheduler_address) as comm:
            return await environment_check.compare(comm, pod("flow", f"r@{A}"), pods)

    return asyncio.run(ask())


def test_a_real_cluster_of_this_environment_does_not_differ_and_another_image_does() -> None:
    assert compare([pod("w", f"r@{A}")]) is None
    difference = compare([pod("w", f"r@{B}")])
    assert (difference.cause, difference.permanent) == (Cause.ENVIRONMENT, True)
    assert "pod w runs image" in difference.sentence
