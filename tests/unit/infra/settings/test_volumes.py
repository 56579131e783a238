from __future__ import annotations

from typing import Any

import pytest

from infra import naming, program
from infra.settings import parse
from infra.settings.volumes import claims
from tests.mocks import Render
from tests.unit.infra.test_program import CONFIG

IMAGE = {"registry": "localhost:5001", "builder": "docker-build"}
THEIRS = {"name": "theirs", "key": "value"}
EXTERNAL = {"mode": "embedded", "authSecret": THEIRS, "database": {"kind": "postgresql", "urlSecret": THEIRS}}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"results": {"store": "none"}},
        {"results": {"store": "volume", "existingClaim": "shared"}},
        {"results": {"store": "volume", "storageClass": "fast"}, "namespace": "team", "runsNamespace": "batch"},
        {"prefect": EXTERNAL},
        {"prefect": {"mode": "embedded", "auth": "none", "database": {"kind": "sqlite", "storageClass": "fast"}}},
    ],
    ids=str,
)
def test_the_claims_are_those_that_the_components_create(
    render: Render, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pulumi.export", lambda *_: None)
    made = [
        {
            "namespace": each["metadata"]["namespace"],
            "name": each["metadata"]["name"],
            "access_mode": each["spec"]["accessModes"][0],
            **({"storage_class": each["spec"]["storageClassName"]} if each["spec"].get("storageClassName") else {}),
        }
        for each in render(program.deploy, {**CONFIG, **settings}).of("v1:PersistentVolumeClaim")
    ]
    declared = list(claims(parse({**CONFIG, **settings}, stack="dev")))
    assert sorted(map(str, declared)) == sorted(map(str, made))


def test_a_stack_on_sqlite_has_a_claim_for_its_database() -> None:
    [claim] = claims(parse({"image": IMAGE}, stack="dev"))
    assert claim == {"namespace": "flows", "name": naming.SERVER, "access_mode": "ReadWriteOnce"}
