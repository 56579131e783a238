"""The local cluster as a whole: starting, stopping and status."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tools.cluster import (
    cgroups,
    cilium,
    cleanup,
    components,
    config,
    files,
    firewall,
    host_state,
    images,
    local_registry,
    node,
    packages,
    pki,
    preflight,
    process,
    programs,
    storage,
    supervise,
)
from tools.cluster.access import Access, access
from tools.cluster.api import Api
from tools.cluster.component import Component
from tools.cluster.images import Built
from tools.cluster.layout import Layout
from tools.cluster.machine import has_resolver
from tools.cluster.network import Network, recorded, requested
from tools.cluster.pki import Certificate
from tools.cluster.supervise import ComponentStatus
from tools.cluster.termination import termination_cleans_up
from tools.cluster.wait import until
from tools.errors import Problem
from tools.file_lock import locked
from tools.progress import duration, say, step

LATE = 15.0
"""Seconds in which a component that runs may answer."""
POD_GRACE = 5.0
"""Seconds for containers to end when the cluster stops."""
UNTIL_PODS_END = ("containerd", "kube-apiserver", "registry", "buildkitd")
"""Components that end after the pods and before etcd."""


class LocalCluster:
    """A single-node Kubernetes made of processes on this machine.

    Args:
        place: its paths; those of `state_dir()` by default.
        binaries: path of each of `programs.needed`; by default, up() gets them from the toolchain.
        network: the network that connects its pods; by default the one that the environment requests, else that of
            the last start.

    Raises:
        Problem: the environment requests a network that does not exist.

    """

    def __init__(
        self,
        place: Layout | None = None,
        *,
        binaries: Mapping[str, Path] | None = None,
        network: Network | None = None,
    ) -> None:
        self.place = place or Layout()
        self._binaries = binaries
        self._requested_network = network or requested()

    @property
    def network(self) -> Network:
        """Return the network with which up() connects pods."""
        return self._requested_network or recorded(self.place.network) or Network.PTP

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the toolchain's groups with its programs."""
        return programs.groups(self.network)

    def preflight(self) -> list[Problem]:
        """Return everything that prevents up(); changes nothing."""
        if elsewhere := preflight.operating_system():
            return elsewhere  # without /proc, which the other questions read
        ours = {identity.pid for identity in process.marked(str(self.place.root))}
        ours |= {identity.pid for identity in cgroups.processes(self.place.tag)}
        return preflight.problems(self.place, ours, self.network)

    def status(self) -> list[ComponentStatus]:
        """Return the status of each component, in the order of starting; changes nothing."""
        if preflight.operating_system():
            return []
        # The network of the present or last cluster: the next start may have another one.
        running = recorded(self.place.network) or self.network
        return [supervise.status(self.place, component) for component in self._components(running)]

    def info(self) -> Access:
        """Return how to use the running cluster.

        Raises:
            Problem: the cluster, or one of its components, is not running.

        """
        components = self._status_once_ready()
        if not any(component.alive for component in components):
            raise Problem("The local cluster is not running", remedy="Start it with `make cluster-up`")
        for component in components:
            if not component.alive:
                raise Problem(
                    f"The local cluster's {component.name} is not running: {component.detail}",
                    remedy="Run `make cluster-down cluster-up`",
                )
        base = images.catalogue()["debian-python"]
        return access(self.place, Built(base.name, self.place.images / base.folder))

    def _status_once_ready(self) -> list[ComponentStatus]:
        """Return the status; a component that runs and does not answer is asked again: it is late on a busy machine."""
        components: list[ComponentStatus] = []

        def none_is_late() -> bool:
            components[:] = self.status()
            return not any(supervise.live_process(self.place, one.name) for one in components if not one.alive)

        until(none_is_late, seconds=LATE, interval=0.5)
        return components

    def control_plane_memory(self) -> int:
        """Return the bytes of RAM (RSS) that all components use; pods and their shims are not included."""
        return sum(process.resident_memory(identity.pid) for identity in supervise.running(self.place).values())

    def up(self) -> Access:
        """Start the cluster; one that runs with the present configuration is left alone.

        Raises:
            Problem: a precondition is not met, or a component did not start; the detail is then the end of its log.

        """
        with self._locked():
            if running := self._up_to_date():
                return running
            if problems := self.preflight():
                raise Problem(problems[0].what, remedy=problems[0].remedy, detail="\n".join(map(str, problems[1:])))
            binaries = self._binaries or programs.built(self.network)
            packages.install(packages.missing(self.network))
            built = {name: images.ensure(image, self.place.images) for name, image in images.catalogue().items()}
            self._stop()
            started = time.monotonic()
            try:
                self._start(built, binaries)
            except BaseException:
                # A partly started cluster is of no use. The logs stay.
                say("    stopping the components that were started")
                self._stop()
                raise
            say(f"    the local cluster is up after {duration(time.monotonic() - started)}")
            return access(self.place, built["debian-python"])

    def down(self, *, purge: bool = False) -> None:
        """Stop the cluster and remove its pods, its processes, and what these changed on this machine.

        Args:
            purge: also delete its objects, volumes, images and certificates.

        Raises:
            Problem: something cannot be removed.

        """
        with self._locked():
            self._stop()
            if purge:
                files.remove_tree(self.place.root)

    # The configuration.

    def _components(self, network: Network, helper_image: str = "") -> list[Component]:
        return components.components(self.place, helper_image=helper_image, network=network)

    def _certificates(self) -> list[Certificate]:
        return components.certificates(socket.gethostname().lower(), self.network)

    def _files(self, built: Mapping[str, Built]) -> dict[Path, str]:
        return config.all_files(
            self.place,
            sandbox_image=local_registry.reference(built["pause"]),
            helper_image=local_registry.reference(built["busybox"]),
            resolver=has_resolver(),
            network=self.network,
        )

    def _fingerprint(self, built: Mapping[str, Built]) -> str:
        """Return a digest of the components' arguments and configuration files, without the paths of programs."""
        arguments = [
            component.argv for component in self._components(self.network, local_registry.reference(built["busybox"]))
        ]
        texts = {str(path): text for path, text in self._files(built).items()}
        return hashlib.sha256(json.dumps([arguments, texts], sort_keys=True).encode()).hexdigest()

    def _up_to_date(self) -> Access | None:
        """Return how to use the cluster; None unless it runs as this program would start it."""
        place = self.place
        # The cheap checks come first.
        if not place.started.exists() or len(supervise.running(place)) < len(self._components(self.network)):
            return None
        catalogue = images.catalogue()
        built = {name: Built(name, place.images / image.folder) for name, image in catalogue.items()}
        if not all(image.folder.is_dir() for image in built.values()):
            return None
        if place.started.read_text() != self._fingerprint(built):
            return None
        if pki.stale(place.pki, self._certificates()) or pki.stale(place.etcd_pki, components.etcd_certificates()):
            return None
        # One that answers late is not started again: that would end the runs of the cluster.
        if not all(component.alive for component in self._status_once_ready()):
            return None
        ready = node.is_ready(Api(place.pki), since="")
        return access(self.place, built["debian-python"]) if ready else None

    # Starting and stopping.

    def _start(self, built: Mapping[str, Built], binaries: Mapping[str, Path]) -> None:
        place = self.place
        for folder in (place.root, place.run, place.etcd, place.registry, place.volumes, place.kubelet):
            folder.mkdir(parents=True, exist_ok=True)
        # etcd and the volumes of pods hold secrets.
        place.root.chmod(0o700)
        place.etcd.chmod(0o700)
        pki.ensure(place.pki, self._certificates())
        pki.ensure(place.etcd_pki, components.etcd_certificates(), tokens=False)
        texts = self._files(built)
        for path, text in texts.items():
            files.write(path, text)
        files.write(place.network, self.network)
        host_state.save(place.host_state, self.network)
        host_state.prepare()
        firewall.install(place.chain)
        cgroups.create(place.tag)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        all_components = [
            _with_program_path(component, binaries)
            for component in self._components(self.network, local_registry.reference(built["busybox"]))
        ]
        first = [component for component in all_components if "kube-apiserver" not in component.after]
        second = [component for component in all_components if component not in first]
        with step("Starting etcd, containerd, registry, BuildKit and the API server"):
            supervise.start_all(place, first, {"registry": lambda: local_registry.push(built.values())})
        with step("Starting the control plane and the node"):
            api = Api(place.pki)
            for location, manifest in storage.manifests():
                api.apply(location, manifest)
            hooks = {}
            if self.network is Network.CILIUM:
                cilium.prepare(place, binaries, api)
                # With a CNI configuration the node is ready, so it must not exist before the network does.
                place.network_config.unlink()
                network_config = texts[place.network_config]
                hooks = {"cilium-agent": lambda: files.write(place.network_config, network_config)}
            supervise.start_all(place, second, hooks)
            node.wait(place, api, since, [component.name for component in all_components])
        files.write(place.started, self._fingerprint(built))

    def _stop(self) -> None:
        place = self.place
        running = supervise.running(place)
        runs = running or cgroups.processes(place.tag)
        with step("Stopping the local cluster") if runs else contextlib.nullcontext():
            last = {name: running.pop(name) for name in UNTIL_PODS_END if name in running}
            etcd = [running.pop("etcd")] if "etcd" in running else []
            process.stop(running.values(), grace=10)
            cleanup.end_pods(place, grace=POD_GRACE)
            # On SIGTERM the API server waits for open watches; it can be killed, because all its data is in etcd.
            process.stop(last.values(), grace=5)
            process.stop(etcd, grace=10)
            cleanup.clean(place)
            for file in (*place.run.glob("*.pid"), place.started):
                file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        for problem in preflight.operating_system():
            raise problem
        with locked(self.place.lock, "starts or stops the local cluster"), termination_cleans_up():
            yield


def _with_program_path(component: Component, binaries: Mapping[str, Path]) -> Component:
    program, *arguments = component.argv
    path = str(binaries.get(program) or programs.which(program) or program)
    return dataclasses.replace(component, argv=(path, *arguments))
