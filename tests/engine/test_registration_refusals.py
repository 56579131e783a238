"""What is wrong with the Prefect API itself is one error, in a preview already."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def declared(stack: Any) -> Any:
    """Declare a pool and deployments, and register nothing yet."""
    stack.pool()
    for name in ("one", "two", "three"):
        stack.deployment(name, pool="pool")
    return stack


def _only_error(declared: Any) -> str:
    result = declared.attempt("preview")
    assert result.code != 0
    assert "Traceback" not in result.text
    errors = {line.strip() for line in result.text.splitlines() if line.strip().startswith("error:")}
    assert len(errors) == 1, result.text
    return str(errors.pop())


def test_a_refused_credential_names_where_it_is_set_and_not_what_it_is(declared: Any, proxy: Any) -> None:
    proxy.authorization = "Bearer right"
    declared.declared["reach"]["auth"] = "api-key"
    declared.run("config", "set", "--secret", "prefectApiKey", "canary-77aa10")
    error = _only_error(declared)
    assert "check the credentials (PREFECT_API_KEY or the stack's prefectApiKey)" in error
    assert "canary-77aa10" not in error


def test_a_missing_credential_says_how_to_set_it(declared: Any, proxy: Any) -> None:
    proxy.authorization = "Bearer right"
    declared.declared["reach"]["auth"] = "api-key"
    assert "run `pulumi config set --secret prefectApiKey`" in _only_error(declared)


def test_a_server_that_is_too_old_is_named_with_its_version(declared: Any, proxy: Any) -> None:
    proxy.version = "3.1.9"
    assert "its version is 3.1.9, and 3.2 or later of 3.x is needed; upgrade the server" in _only_error(declared)
