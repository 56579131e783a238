"""The policies as text. What they refuse is decided by an API server in `tests/engine/test_admission.py`."""

from __future__ import annotations

import json
from typing import Any

from infra import validation
from infra.admission.policies import policies

IMAGE = {"builder": "docker-build", "registry": "registry.example.com/data"}


def made(**values: Any) -> dict[str, dict[str, Any]]:
    return policies(validation.load_settings({"image": IMAGE, **values}, stack="dev"))


def test_every_policy_is_about_the_namespace_of_runs_and_fails_closed() -> None:
    for spec in made(namespace="mine").values():
        selector = spec["matchConstraints"]["namespaceSelector"]
        assert selector == {"matchLabels": {"kubernetes.io/metadata.name": "mine-runs"}}
        assert spec["failurePolicy"] == "Fail"


def test_no_policy_matches_an_administrator() -> None:
    for spec in made().values():
        first, *_ = spec["matchConditions"]
        assert "system:serviceaccount" in first["expression"]
        assert "system:masters" not in json.dumps(spec)


def test_an_operator_of_others_is_known_by_its_namespace() -> None:
    text = json.dumps(made(dask={"operator": {"mode": "existing", "namespace": "dask"}}))
    assert '\\"system:serviceaccounts:dask\\" in request.userInfo.groups' in text
    assert "system:serviceaccount:flows:dask-operator" not in text
    assert "system:serviceaccount:flows:dask-operator" in json.dumps(made())


def test_a_worker_group_has_the_ceiling_of_the_stack_or_the_maximum_of_large_workers() -> None:
    assert "<= 16" in json.dumps(made()["runs"])
    large = {"maximum": 40, "cpu": "1", "memory": "1Gi"}
    assert "<= 40" in json.dumps(made(dask={"profiles": {"wide": {"largeWorkers": large}}})["runs"])


def test_folders_of_results_are_compared_where_there_are_any() -> None:
    with_folders = made(results={"store": "volume", "existingClaim": "mine"})
    assert with_folders["results"]["paramKind"] == {"apiVersion": "v1", "kind": "Pod"}
    for name in ("flow-pods", "dask-pods", "results"):
        assert "claimName.orValue('') != \\\"mine\\\"" in json.dumps(with_folders[name])
    for results in ({"store": "none"}, {"store": "volume", "shared": True}):
        without = made(results=results)
        assert "results" not in without
        assert "results.shared" not in json.dumps(without)


def test_images_are_bounded_only_on_request() -> None:
    assert "image.only" not in json.dumps(made())
    assert "image.only" in json.dumps(made(image={**IMAGE, "only": True}))


def test_every_message_is_one_line_and_every_refusal_has_one() -> None:
    for spec in made().values():
        for each in spec["validations"]:
            assert each["message"]
            assert "\n" not in each["message"]
