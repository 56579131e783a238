"""The providers as the engine keeps them: bytes in every stack's state, read by a process that starts empty."""

from __future__ import annotations

import base64
import subprocess
import sys
from pathlib import Path

import pytest
from pulumi.dynamic.dynamic import serialize_provider

from infra.registration import session
from infra.registration.automation import AutomationProvider
from infra.registration.concurrency_limit import GlobalConcurrencyLimitProvider
from infra.registration.deployment import DeploymentProvider
from infra.registration.provider import PrefectProvider
from infra.registration.variable import VariableProvider
from infra.registration.work_pool import WorkPoolProvider
from infra.registration.work_queue import WorkQueueProvider

ROOT = Path(__file__).parents[4]
PROVIDERS = [
    WorkPoolProvider,
    WorkQueueProvider,
    DeploymentProvider,
    VariableProvider,
    GlobalConcurrencyLimitProvider,
    AutomationProvider,
]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_is_kept_by_its_dotted_path_and_nothing_else(
    provider: type[PrefectProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(session._configuration, "prefectApiKey", "a-secret")
    monkeypatch.setenv("PREFECT_API_KEY", "a-secret")
    kept = base64.b64decode(serialize_provider(provider()))
    assert len(kept) < 120
    assert provider.__module__.encode() in kept
    assert b"a-secret" not in kept


def test_the_dotted_paths_never_change_because_they_are_in_every_state() -> None:
    paths = {f"{provider.__module__}.{provider.__qualname__}" for provider in PROVIDERS}
    assert paths == {
        "infra.registration.work_pool.WorkPoolProvider",
        "infra.registration.work_queue.WorkQueueProvider",
        "infra.registration.deployment.DeploymentProvider",
        "infra.registration.variable.VariableProvider",
        "infra.registration.concurrency_limit.GlobalConcurrencyLimitProvider",
        "infra.registration.automation.AutomationProvider",
    }


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_provider_loads_in_a_fresh_interpreter_without_what_only_the_program_needs(
    provider: type[PrefectProvider],
) -> None:
    program = (
        "import base64, sys, dill\n"
        f"provider = dill.loads(base64.b64decode({serialize_provider(provider())!r}))\n"
        "print(type(provider).__name__)\n"
        "heavy = 'pulumi_kubernetes prefect httpx kr8s infra.settings infra.program'.split()\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == [provider.__name__, "[]"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_state_holds_a_provider_in_clear_so_that_diffs_stay_quiet(provider: type[PrefectProvider]) -> None:
    assert provider.serialize_as_secret_always is False
