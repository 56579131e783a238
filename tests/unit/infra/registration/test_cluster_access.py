"""`kubernetes:context` and `kubernetes:kubeconfig` decide which cluster every provider reaches."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, cast

import pytest
from pulumi.dynamic import Config, ConfigureRequest

from infra.registration import cluster_access, kubernetes
from infra.registration.credential_gate import CredentialGateProvider
from infra.registration.drain import DrainProvider
from infra.registration.endpoint import PortForward
from infra.registration.errors import RegistrationError
from infra.registration.exact_access import ExactAccessProvider
from infra.registration.port_forward import Tunnel
from infra.registration.preflight import PreflightProvider
from infra.registration.work_pool import WorkPoolProvider
from tests.unit.tools.fake_kubernetes import FakeKubernetes, fake_kubernetes

PROVIDERS = [CredentialGateProvider, DrainProvider, ExactAccessProvider, PreflightProvider, WorkPoolProvider]


@pytest.fixture(autouse=True)
def clusters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, FakeKubernetes]]:
    """Serve two clusters; `staging` is the current context of KUBECONFIG."""
    with ExitStack() as stack:
        result = {}
        merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "current-context": "staging"}
        for name in ("staging", "prod"):
            folder = tmp_path / name
            folder.mkdir()
            result[name] = stack.enter_context(fake_kubernetes(folder))
            single = json.loads((folder / "kubeconfig").read_text())
            for kind in ("clusters", "users"):
                merged.setdefault(kind, []).append({**single[kind][0], "name": name})
            merged.setdefault("contexts", []).append({"name": name, "context": {"cluster": name, "user": name}})
        (tmp_path / "merged").write_text(json.dumps(merged))
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "merged"))
        monkeypatch.setattr(cluster_access, "_configuration", {})
        yield result


def configure(provider: type, **config: str) -> None:
    raw = {f"kubernetes:{key}": value for key, value in config.items()}
    provider().configure(ConfigureRequest(config=Config(raw, "ephemeral-dask")))


def asked(clusters: dict[str, FakeKubernetes]) -> list[str]:
    """Return which clusters are asked for live runs, by drain, gate and exact access."""
    for cluster in clusters.values():
        cluster.selectors.clear()
    kubernetes.Cluster("flows", None).live_objects()
    return [name for name, cluster in clusters.items() if cluster.selectors]


def test_without_a_setting_it_is_the_current_context(clusters: dict[str, FakeKubernetes]) -> None:
    assert asked(clusters) == ["staging"]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_context_of_the_stack_wins_whichever_provider_is_configured(
    provider: type, clusters: dict[str, FakeKubernetes]
) -> None:
    configure(provider, context="prod")
    assert asked(clusters) == ["prod"]


def test_a_kubeconfig_of_the_stack_wins_as_a_path(clusters: dict[str, FakeKubernetes]) -> None:
    configure(DrainProvider, kubeconfig=clusters["prod"].kubeconfig)
    assert asked(clusters) == ["prod"]


def test_a_kubeconfig_of_the_stack_wins_as_contents_in_a_file_that_others_cannot_read(
    clusters: dict[str, FakeKubernetes],
) -> None:
    configure(DrainProvider, kubeconfig=Path(clusters["prod"].kubeconfig).read_text())
    assert asked(clusters) == ["prod"]
    path = cast(str, cluster_access.kubeconfig())
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert cluster_access.kubeconfig() == path, "a file for each request would fill the disk"
    cluster_access._remove(path)
    cluster_access._remove(path)


def test_a_port_forward_goes_to_the_cluster_of_the_stack(
    clusters: dict[str, FakeKubernetes], monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: dict[str, list[str]] = {name: [] for name in clusters}
    for name, cluster in clusters.items():
        answer = cluster.answer
        monkeypatch.setattr(
            cluster, "answer", lambda path, name=name, answer=answer: (paths[name].append(path), answer(path))[1]
        )
    configure(WorkPoolProvider, context="prod")
    with suppress(KeyError, RegistrationError):  # the fake has no Service
        Tunnel(PortForward(namespace="flows", service="prefect-server", port=4200))
    assert any("services/prefect-server" in path for path in paths["prod"])
    assert not any("services/prefect-server" in path for path in paths["staging"])
