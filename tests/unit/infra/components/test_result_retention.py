from __future__ import annotations

from typing import Any

import pulumi
import pytest

from infra import program
from tests.mocks import Recorder, Render
from tests.unit.infra.test_program import CONFIG

pytestmark = pytest.mark.usefixtures("exported")


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    result: dict[str, Any] = {}
    monkeypatch.setattr(pulumi, "export", result.__setitem__)
    return result


def deployed(render: Render, **results: Any) -> Recorder:
    return render(program.deploy, {**CONFIG, "results": {"store": "volume", **results}})


def test_old_results_are_deleted_once_a_day_within_a_bound(render: Render) -> None:
    [job] = deployed(render, keepDays=30).of("batch/v1:CronJob")
    spec = job["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    template = spec["jobTemplate"]["spec"]
    assert template["activeDeadlineSeconds"] == 3600
    pod = template["template"]["spec"]
    [container] = pod["containers"]
    assert container["command"] == ["python", "-S", "-m", "ops.result_retention", "/results", "--days=30"]
    assert {"name": "results", "persistentVolumeClaim": {"claimName": "results"}} in pod["volumes"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["allowPrivilegeEscalation"] is False


def test_the_claim_of_the_settings_is_cleaned(render: Render) -> None:
    [job] = deployed(render, keepDays=7, existingClaim="shared").of("batch/v1:CronJob")
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["volumes"][-1]["persistentVolumeClaim"]["claimName"] == "shared"


def test_nothing_is_deleted_unless_the_stack_says_so(render: Render) -> None:
    assert deployed(render).of("batch/v1:CronJob") == []
