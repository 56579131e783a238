"""The local cluster as a whole: up, down, and how it is."""

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
    components,
    config,
    files,
    firewall,
    images,
    imprint,
    leftovers,
    packages,
    pki,
    preflight,
    process,
    programs,
    registry,
    storage,
    supervise,
)
from tools.cluster.access import Access, access
from tools.cluster.api import Api, node_ready
from tools.cluster.component import Component
from tools.cluster.images import Built
from tools.cluster.layout import NODE_NAME, Layout
from tools.cluster.machine import has_resolver
from tools.cluster.network import Network, chosen, noted
from tools.cluster.pki import Certificate
from tools.cluster.supervise import ComponentStatus
from tools.cluster.wait import until
from tools.errors import Problem
from tools.progress import duration, say, step

NODE_DEADLINE = 120.0
"""Seconds for the node to say Ready."""
POD_GRACE = 5.0
"""Seconds that containers have to end when the cluster goes down."""
UNTIL_PODS_END = ("containerd", "kube-apiserver", "registry", "buildkitd")
"""Components that end after the pods; etcd is the very last."""


class LocalCluster:
    """A single-node Kubernetes made of processes on this machine.

    Args:
        place: where it keeps its things; the folder of `state_dir()` by default.
        binaries: path of each of `programs.needed`; asked of the toolchain by up() when left out.
        network: what connects its pods; when left out, what the environment says, or else what it was last time.

    Raises:
        Problem: the environment asks for a network that there is not.

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
        self._asked = network or chosen()

    @property
    def network(self) -> Network:
        """What up() connects pods with."""
        return self._asked or noted(self.place.network) or Network.PTP

    @property
    def groups(self) -> tuple[str, ...]:
        """What the toolchain calls the groups of programs that it consists of."""
        return programs.groups(self.network)

    def preflight(self) -> list[Problem]:
        """Find what stands in the way of up(); changes nothing."""
        ours = {identity.pid for identity in process.marked(str(self.place.root))}
        ours |= {identity.pid for identity in cgroups.processes(self.place.tag)}
        return preflight.problems(self.place, ours, self.network)

    def status(self) -> list[ComponentStatus]:
        """Ask each component how it is, in the order of starting; changes nothing."""
        # Not what it is to be: what it is, or was when it ran.
        running = noted(self.place.network) or self.network
        return [supervise.status(self.place, one) for one in self._components(running)]

    def info(self) -> Access:
        """Return how to use the running cluster.

        Raises:
            Problem: when it is not running, or which part of it is not.

        """
        found = self.status()
        if not any(one.alive for one in found):
            raise Problem("The local cluster is not running", remedy="Start it with `make cluster-up`")
        for one in found:
            if not one.alive:
                raise Problem(
                    f"The local cluster's {one.name} is not running: {one.detail}",
                    remedy="Run `make cluster-down cluster-up`",
                )
        base = images.catalogue()["debian-python"]
        return access(self.place, Built(base.name, self.place.images / base.folder))

    def control_plane_memory(self) -> int:
        """Sum up the bytes in RAM (RSS) of all our processes; pods and their shims are not among them."""
        return sum(process.resident_memory(one.pid) for one in supervise.running(self.place).values())

    def up(self) -> Access:
        """Bring the cluster up, or leave it alone when it is up and as it should be.

        Raises:
            Problem: what stands in the way, or which component did not start and its last words.

        """
        with self._locked():
            if running := self._as_wanted():
                return running
            if found := self.preflight():
                raise _together(found)
            binaries = self._binaries or programs.built(self.network)
            packages.install(packages.missing(self.network))
            built = {name: images.ensure(one, self.place.images) for name, one in images.catalogue().items()}
            self._stop()
            started = time.monotonic()
            try:
                self._start(built, binaries)
            except BaseException:
                # A cluster that is half up helps nobody. The logs stay.
                say("    taking down what was started")
                self._stop()
                raise
            say(f"    the local cluster is up after {duration(time.monotonic() - started)}")
            return access(self.place, built["debian-python"])

    def down(self, *, purge: bool = False) -> None:
        """Take the cluster down: pods, processes, and what they made on this machine. One that is down is left alone.

        Args:
            purge: also forget its objects, volumes, images and certificates.

        Raises:
            Problem: when something cannot be taken away.

        """
        with self._locked():
            self._stop()
            if purge:
                files.remove_tree(self.place.root)

    # What it should be.

    def _components(self, network: Network, helper_image: str = "") -> list[Component]:
        return components.components(self.place, helper_image=helper_image, network=network)

    def _certificates(self) -> list[Certificate]:
        return components.certificates(socket.gethostname().lower(), self.network)

    def _files(self, built: Mapping[str, Built]) -> dict[Path, str]:
        return config.all_files(
            self.place,
            sandbox_image=registry.reference(built["pause"]),
            helper_image=registry.reference(built["busybox"]),
            resolver=has_resolver(),
            network=self.network,
        )

    def _fingerprint(self, built: Mapping[str, Built]) -> str:
        """Digest all that a running cluster was told, but for where its programs are."""
        arguments = [one.argv for one in self._components(self.network, registry.reference(built["busybox"]))]
        told = {str(path): text for path, text in self._files(built).items()}
        return hashlib.sha256(json.dumps([arguments, told], sort_keys=True).encode()).hexdigest()

    def _as_wanted(self) -> Access | None:
        """Return how to use the cluster if it runs as this program would start it."""
        place = self.place
        # The cheap questions first; most of the time the cluster is either up or not.
        if not place.started.exists() or len(supervise.running(place)) < len(self._components(self.network)):
            return None
        catalogue = images.catalogue()
        built = {name: Built(name, place.images / image.folder) for name, image in catalogue.items()}
        if not all(image.folder.is_dir() for image in built.values()):
            return None
        if place.started.read_text() != self._fingerprint(built):
            return None
        if pki.stale(place.pki, self._certificates()):
            return None
        if not all(one.alive for one in self.status()):
            return None
        node = Api(place.pki).get(f"/api/v1/nodes/{NODE_NAME}")
        return access(self.place, built["debian-python"]) if node_ready(node, since="") else None

    # Making it so.

    def _start(self, built: Mapping[str, Built], binaries: Mapping[str, Path]) -> None:
        place = self.place
        for folder in (place.root, place.run, place.etcd, place.registry, place.volumes, place.kubelet):
            folder.mkdir(parents=True, exist_ok=True)
        # Secrets are in etcd and in the volumes of pods.
        place.root.chmod(0o700)
        place.etcd.chmod(0o700)
        pki.ensure(place.pki, self._certificates())
        told = self._files(built)
        for path, text in told.items():
            files.write(path, text)
        files.write(place.network, self.network)
        imprint.note(place.imprint, self.network)
        imprint.prepare()
        firewall.install(place.chain)
        cgroups.create(place.tag)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        wanted = self._components(self.network, registry.reference(built["busybox"]))
        everyone = [_located(one, binaries) for one in wanted]
        early = [one for one in everyone if "kube-apiserver" not in one.after]
        with step("Starting etcd, containerd, registry, BuildKit and the API server"):
            push = {"registry": lambda: [registry.push(image) for image in built.values()]}
            supervise.start_all(place, early, push)
        with step("Starting the control plane and the node"):
            api = Api(place.pki)
            for location, manifest in storage.manifests():
                api.apply(location, manifest)
            then = {}
            if self.network is Network.CILIUM:
                cilium.prepare(place, binaries, api)
                # It makes the node ready, so it is not there before the network is.
                place.network_config.unlink()
                announced = told[place.network_config]
                then = {"cilium-agent": lambda: files.write(place.network_config, announced)}
            supervise.start_all(place, [one for one in everyone if one not in early], then)
            self._wait_for_node(api, since, [one.name for one in everyone])
        files.write(place.started, self._fingerprint(built))

    def _wait_for_node(self, api: Api, since: str, names: list[str]) -> None:
        """Wait until pods can be made: a node that is ready, and the identity they have when they name none."""

        def ready() -> bool:
            supervise.raise_if_ended(self.place, names)
            return node_ready(api.get(f"/api/v1/nodes/{NODE_NAME}"), since=since) and bool(
                api.get("/api/v1/namespaces/default/serviceaccounts/default")
            )

        if not until(ready, seconds=NODE_DEADLINE, interval=0.2):
            how = f"did not report a ready node within {NODE_DEADLINE:.0f} s"
            raise supervise.failure(self.place, "kubelet", how)

    def _stop(self) -> None:
        place = self.place
        found = supervise.running(place)
        anything = found or cgroups.processes(place.tag)
        with step("Stopping the local cluster") if anything else contextlib.nullcontext():
            last = {name: found.pop(name) for name in UNTIL_PODS_END if name in found}
            etcd = [found.pop("etcd")] if "etcd" in found else []
            process.stop(found.values(), grace=10)
            leftovers.end_pods(place, grace=POD_GRACE)
            # The API server waits for open watches when asked to end; everything that matters is in etcd.
            process.stop(last.values(), grace=5)
            process.stop(etcd, grace=10)
            leftovers.sweep(place)
            for file in (*place.run.glob("*.pid"), place.started):
                file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with files.locked(self.place.lock, waiting_for="another cluster-up or cluster-down"):
            yield


def _located(component: Component, binaries: Mapping[str, Path]) -> Component:
    program, *arguments = component.argv
    path = str(binaries.get(program) or programs.which(program) or program)
    return dataclasses.replace(component, argv=(path, *arguments))


def _together(found: list[Problem]) -> Problem:
    first, *others = found
    return Problem(first.what, remedy=first.remedy, detail="\n".join(map(str, others)))
