"""The choice of the pod network."""

from pathlib import Path

import pytest

from tools.cluster import Layout, LocalCluster, Network, network
from tools.errors import Problem


def test_the_argument_precedes_the_environment_and_that_the_last_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Layout(root=tmp_path)
    monkeypatch.delenv(network.VARIABLE, raising=False)
    assert LocalCluster(place).network is Network.PTP
    place.network.write_text("cilium")
    assert LocalCluster(place).network is Network.CILIUM
    monkeypatch.setenv(network.VARIABLE, "ptp")
    assert LocalCluster(place).network is Network.PTP
    assert LocalCluster(place, network=Network.CILIUM).network is Network.CILIUM
    assert "cilium-agent" in {one.name for one in LocalCluster(place).status()}


def test_an_unknown_network_is_refused_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(network.VARIABLE, "calico")
    with pytest.raises(Problem, match="EPHEMERAL_DASK_NETWORK=calico is not a network") as raised:
        LocalCluster()
    assert "ptp or cilium" in str(raised.value)
