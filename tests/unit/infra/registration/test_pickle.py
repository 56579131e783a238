"""Providers as Pulumi stores them: pickled in every stack's state, loaded by a new process."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from pulumi.dynamic import ResourceProvider
from pulumi.dynamic.dynamic import serialize_provider

import infra.registration
from infra.registration import session
from infra.registration.automation import AutomationProvider
from infra.registration.concurrency_limit import GlobalConcurrencyLimitProvider
from infra.registration.credential_gate import CredentialGateProvider
from infra.registration.deployment import DeploymentProvider
from infra.registration.drain import DrainProvider
from infra.registration.exact_access import ExactAccessProvider
from infra.registration.preflight import PreflightProvider
from infra.registration.provider import PrefectProvider
from infra.registration.stateless import StatelessProvider
from infra.registration.variable import VariableProvider
from infra.registration.work_pool import WorkPoolProvider
from infra.registration.work_queue import WorkQueueProvider

ROOT = Path(__file__).parents[4]
PROVIDERS: list[type[ResourceProvider]] = [
    WorkPoolProvider,
    WorkQueueProvider,
    DeploymentProvider,
    VariableProvider,
    GlobalConcurrencyLimitProvider,
    AutomationProvider,
    DrainProvider,
    PreflightProvider,
    ExactAccessProvider,
    CredentialGateProvider,
]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_state_holds_a_provider_as_its_dotted_path_without_secrets(
    provider: type[ResourceProvider], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(session._configuration, "prefectApiKey", "a-secret")
    monkeypatch.setenv("PREFECT_API_KEY", "a-secret")
    pickled = base64.b64decode(serialize_provider(provider()))
    assert len(pickled) < 120
    assert provider.__module__.encode() in pickled
    assert b"a-secret" not in pickled


def test_the_dotted_paths_in_every_stacks_state_stay_the_same() -> None:
    paths = {f"{provider.__module__}.{provider.__qualname__}" for provider in PROVIDERS}
    assert paths == {
        "infra.registration.work_pool.WorkPoolProvider",
        "infra.registration.work_queue.WorkQueueProvider",
        "infra.registration.deployment.DeploymentProvider",
        "infra.registration.variable.VariableProvider",
        "infra.registration.concurrency_limit.GlobalConcurrencyLimitProvider",
        "infra.registration.automation.AutomationProvider",
        "infra.registration.drain.DrainProvider",
        "infra.registration.credential_gate.CredentialGateProvider",
        "infra.registration.preflight.PreflightProvider",
        "infra.registration.exact_access.ExactAccessProvider",
    }


def test_every_resource_of_the_package_is_pinned_here() -> None:
    package = Path(infra.registration.__file__).parent
    for file in package.glob("*.py"):
        import_module(f"infra.registration.{file.stem}")
    assert set(_subclasses(ResourceProvider)) - {PrefectProvider, StatelessProvider} == set(PROVIDERS)


def _subclasses(base: type[ResourceProvider]) -> Iterator[type[ResourceProvider]]:
    for subclass in base.__subclasses__():
        if subclass.__module__.startswith("infra.registration."):
            yield subclass
            yield from _subclasses(subclass)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_new_process_loads_a_provider_without_heavy_imports(
    provider: type[ResourceProvider],
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
def test_providers_are_not_stored_as_secrets_which_would_show_in_every_diff(provider: type[ResourceProvider]) -> None:
    assert provider.serialize_as_secret_always is False
