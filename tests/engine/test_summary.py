"""The Markdown of a real preview: the engine's own events, with real secrets in them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tools import stack as stacks
from tools import stackfile, summary
from tools.target import Target

NOW = datetime(2026, 10, 23, 12, tzinfo=UTC)
DAILY = {"slug": "daily", "cron": "0 6 * * *", "timezone": "Europe/Berlin"}


@pytest.fixture
def stack(stack: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the verbs of `make` work on the test's project."""
    monkeypatch.setattr(stacks, "ROOT", stack.folder)
    monkeypatch.setattr(stackfile, "ROOT", stack.folder)
    return stack


def preview(stack: Any, name: str = "test") -> stacks.Preview:
    stack.write()
    return stacks.Stack(name, Target(cluster="existing", environment=stack.environment, overrides={})).preview()


def page(stack: Any) -> str:
    result = preview(stack)
    assert result.error == ""
    return summary.render("test", summary.build(summary.parse(result.events), templates={}, now=NOW))


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
    assert "Secret, so it is not known whether they change: `parameters`" in text
    assert canary not in text
    assert later not in text


def test_a_deployment_that_was_deleted_outside_is_not_shown_as_a_new_one(stack: Any, prefect: Any) -> None:
    stack.pool()
    stack.deployment("one", pool="pool")
    stack.up()
    prefect.call("DELETE", f"/deployments/{prefect.deployment('flow', 'one')['id']}")
    assert "**deployment** `flow/one` is created again (deleted outside)" in page(stack)


def test_a_failed_preview_shows_the_providers_sentence_without_a_traceback(stack: Any) -> None:
    stack.pool()
    stack.up()
    stack.run("stack", "init", "other")
    result = preview(stack, "other")
    assert result.error
    text = summary.failure("other", summary.parse(result.events), result.error)
    assert "the preview failed" in text
    assert "registration-test/test has registered it, and this is registration-test/other" in text
    assert "Traceback" not in text


def test_a_refused_configuration_shows_its_sentence_only(stack: Any) -> None:
    (stack.folder / "__main__.py").write_text("import pulumi\nraise pulumi.RunError('prefect.yaml: line 3 is wrong')\n")
    result = preview(stack)
    text = summary.failure("test", summary.parse(result.events), result.error)
    assert "```text\nprefect.yaml: line 3 is wrong\n```" in text
    assert "program exited" not in text


def test_an_update_that_fails_names_the_resource_and_its_error_once(stack: Any, prefect: Any) -> None:
    stack.pool()
    stack.deployment("one", pool="pool")
    prefect.call("POST", "/work_pools/", {"name": "pool", "type": "process"})
    stack.write()
    tool = stacks.Stack("test", Target(cluster="existing", environment=stack.environment, overrides={}))
    with pytest.raises(stacks.Problem) as caught:
        tool.up()
    assert caught.value.detail.startswith("WorkPool pool: ")
    assert "update failed" not in caught.value.detail
    assert "Traceback" not in caught.value.detail
    assert not tool.state().is_up


def test_a_stack_is_up_once_an_update_has_succeeded_and_until_it_is_destroyed(stack: Any) -> None:
    stack.pool()
    stack.deployment("one", pool="pool")
    stack.write()
    tool = stacks.Stack("test", Target(cluster="existing", environment=stack.environment, overrides={}))
    assert not tool.state().is_up
    assert set(tool.up().outputs) == {"one"}
    assert tool.state().is_up
    tool.destroy()
    assert not tool.state().is_up
    assert tool.outputs() == {}
