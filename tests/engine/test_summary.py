"""The Markdown of a real preview: the engine's own event log, with real secrets in it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tools import summary

NOW = datetime(2026, 10, 23, 12, tzinfo=UTC)
DAILY = {"slug": "daily", "cron": "0 6 * * *", "timezone": "Europe/Berlin"}


@pytest.fixture
def stack(stack: Any) -> Any:
    """Let the engine write its event log, as `make summary` does."""
    stack.environment["PULUMI_DEBUG_COMMANDS"] = "true"
    return stack


def planned(stack: Any) -> tuple[int, summary.Plan, str]:
    log: Path = stack.folder / "events.jsonl"
    log.unlink(missing_ok=True)
    done = stack.attempt("preview", "--refresh", "--event-log", str(log))
    return done.code, summary.parse(log.read_text().splitlines()), log.read_text()


def page(stack: Any) -> str:
    code, plan, _ = planned(stack)
    assert code == 0
    return summary.render("test", summary.build(plan, templates={}, now=NOW))


def test_a_real_preview_is_shown_field_by_field_without_secrets(stack: Any, prefect: Any) -> None:
    canary, later = "canary-7e21aa", "canary-90cc4f"
    stack.pool()
    stack.deployment("one", pool="pool", parameters={"token": canary}, secret_fields=["parameters"], schedules=[DAILY])
    stack.deployment("two", pool="pool")
    stack.up()
    assert "### Stack `test`: nothing changes in 3 resources" in page(stack)

    prefect.call("PATCH", f"/deployments/{prefect.deployment('flow', 'one')['id']}", {"description": "Theirs."})
    one = stack.declared["deployments"]["one"]
    one |= {"parameters": {"token": later}, "schedules": [{**DAILY, "cron": "0 7 * * *"}], "job_variables": {"size": 3}}
    del stack.declared["deployments"]["two"]
    stack.deployment("three", pool="pool", description="new")
    text = page(stack)
    assert "### Stack `test`: 1 to create, 1 to update, 1 to delete" in text
    assert "**deployment** `flow/three` is created" in text
    assert "**deployment** `flow/two` is deleted" in text
    assert "| `job_variables.size` | - | `3` |" in text
    assert "| `schedules.daily.cron` | `0 6 * * *` | `0 7 * * *` |" in text
    assert "| `description` (edited outside) | `Theirs.` | - |" in text
    assert "schedule `daily`: Sat 2026-10-24 07:00, Sun 2026-10-25 07:00, Mon 2026-10-26 07:00 Europe/Berlin" in text
    assert "Secret, so it cannot be told whether they change: `parameters`" in text
    assert canary not in text
    assert later not in text


def test_a_deployment_that_was_deleted_outside_is_not_shown_as_a_new_one(stack: Any, prefect: Any) -> None:
    stack.pool()
    stack.deployment("one", pool="pool")
    stack.up()
    prefect.call("DELETE", f"/deployments/{prefect.deployment('flow', 'one')['id']}")
    assert "**deployment** `flow/one` is made again (deleted outside)" in page(stack)


def test_a_failed_preview_shows_the_providers_sentence_without_a_traceback(stack: Any) -> None:
    stack.pool()
    stack.up()
    stack.run("stack", "init", "other")
    log: Path = stack.folder / "events.jsonl"
    done = stack.attempt("preview", "--stack", "other", "--event-log", str(log))
    assert done.code != 0
    text = summary.failure("other", summary.parse(log.read_text().splitlines()), done.text)
    assert "the preview failed" in text
    assert "registration-test/test has registered it, and this is registration-test/other" in text
    assert "Traceback" not in text


def test_a_refused_configuration_shows_its_sentence_only(stack: Any) -> None:
    (stack.folder / "__main__.py").write_text("import pulumi\nraise pulumi.RunError('prefect.yaml: line 3 is wrong')\n")
    code, plan, _ = planned(stack)
    assert code != 0
    text = summary.failure("test", plan, "")
    assert "prefect.yaml: line 3 is wrong" in text
    assert "Traceback" not in text
