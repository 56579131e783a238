"""The local cluster as a whole: up, down, and how it is."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.cluster import (
    cgroups,
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
from tools.cluster.api import Api, node_ready
from tools.cluster.components import Component
from tools.cluster.images import Built
from tools.cluster.layout import NODE_NAME, REGISTRY, Layout
from tools.cluster.machine import has_resolver
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


@dataclass(frozen=True, kw_only=True)
class Access:
    """How to use a running cluster.

    Attributes:
        kubeconfig: the administrator's.
        registry: what image names begin with, on the machine and in the cluster.
        buildkit: address of buildkitd.
        base_image: an image with Python, by digest.
        docker_config: folder to export as DOCKER_CONFIG.
        buildx: name of the builder that it defines: our buildkitd.
        ca_bundle: the authorities that this machine trusts in place of the public ones (SSL_CERT_FILE), or None;
            an image build that fetches packages needs the file as a secret.
        audit_log: who asked the API server for what, one JSON object a line; rotated.

    """

    kubeconfig: Path
    registry: str
    buildkit: str
    base_image: str
    docker_config: Path
    buildx: str
    ca_bundle: Path | None
    audit_log: Path

    def environment(self) -> dict[str, str]:
        """Return the variables that make kubectl, Pulumi and buildx use the cluster."""
        return {"KUBECONFIG": str(self.kubeconfig), "DOCKER_CONFIG": str(self.docker_config)}


class LocalCluster:
    """A single-node Kubernetes made of processes on this machine.

    Args:
        place: where it keeps its things; the folder of `state_dir()` by default.
        binaries: path of each of `programs.BUILT`; asked of the toolchain by up() when left out.

    """

    def __init__(self, place: Layout | None = None, *, binaries: Mapping[str, Path] | None = None) -> None:
        self.place = place or Layout()
        self._binaries = binaries

    def preflight(self) -> list[Problem]:
        """Find what stands in the way of up(); changes nothing."""
        ours = {identity.pid for identity in process.marked(str(self.place.root))}
        ours |= {identity.pid for identity in cgroups.processes(self.place.tag)}
        return preflight.problems(self.place, ours)

    def status(self) -> list[ComponentStatus]:
        """Ask each component how it is, in the order of starting; changes nothing."""
        return [supervise.status(self.place, component) for component in self._components()]

    def info(self) -> Access:
        """Return how to use the running cluster.

        Raises:
            Problem: when it is not running, or which part of it is not.

        """
        found = self.status()
        if not any(one.alive for one in found):
            raise Problem("The local cluster is not running", cure="Start it with `make cluster-up`")
        for one in found:
            if not one.alive:
                raise Problem(
                    f"The local cluster's {one.name} is not running: {one.detail}",
                    cure="Run `make cluster-down cluster-up`",
                )
        base = images.catalogue()["debian-python"]
        return self._access(Built(base.name, self.place.images / base.folder))

    def control_plane_memory(self) -> int:
        """Sum up the bytes in RAM (RSS) of all our processes; pods and their shims are not among them."""
        return sum(process.resident_memory(one.pid) for one in supervise.running(self.place).values())

    def up(self) -> Access:
        """Bring the cluster up, or leave it alone when it is up and as it should be.

        Raises:
            Problem: what stands in the way, or which component did not start and its last words.

        """
        with self._locked():
            if access := self._as_wanted():
                return access
            if found := self.preflight():
                raise _together(found)
            binaries = self._binaries or programs.built()
            packages.install(packages.missing())
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
            return self._access(built["debian-python"])

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

    def _components(self, helper_image: str = "") -> list[Component]:
        return components.components(self.place, helper_image=helper_image)

    def _files(self, built: Mapping[str, Built]) -> dict[Path, str]:
        return config.all_files(
            self.place,
            sandbox_image=registry.reference(built["pause"]),
            helper_image=registry.reference(built["busybox"]),
            resolver=has_resolver(),
        )

    def _fingerprint(self, built: Mapping[str, Built]) -> str:
        """Digest all that a running cluster was told, but for where its programs are."""
        arguments = [one.argv for one in self._components(registry.reference(built["busybox"]))]
        told = {str(path): text for path, text in self._files(built).items()}
        return hashlib.sha256(json.dumps([arguments, told], sort_keys=True).encode()).hexdigest()

    def _access(self, base: Built) -> Access:
        bundle = os.environ.get("SSL_CERT_FILE")
        return Access(
            kubeconfig=self.place.kubeconfig,
            registry=REGISTRY,
            buildkit=self.place.buildkit_address,
            base_image=registry.reference(base),
            docker_config=self.place.docker_config,
            buildx=config.BUILDER,
            ca_bundle=Path(bundle) if bundle and Path(bundle).is_file() else None,
            audit_log=self.place.audit_log,
        )

    def _as_wanted(self) -> Access | None:
        """Return how to use the cluster if it runs as this program would start it."""
        place = self.place
        # The cheap questions first; most of the time the cluster is either up or not.
        if not place.started.exists() or len(supervise.running(place)) < len(self._components()):
            return None
        catalogue = images.catalogue()
        built = {name: Built(name, place.images / image.folder) for name, image in catalogue.items()}
        if not all(image.folder.is_dir() for image in built.values()):
            return None
        if place.started.read_text() != self._fingerprint(built):
            return None
        if pki.stale(place.pki, components.certificates(_hostname())):
            return None
        if not all(one.alive for one in self.status()):
            return None
        node = Api(place.pki).get(f"/api/v1/nodes/{NODE_NAME}")
        return self._access(built["debian-python"]) if node_ready(node, since="") else None

    # Making it so.

    def _start(self, built: Mapping[str, Built], binaries: Mapping[str, Path]) -> None:
        place = self.place
        for folder in (place.root, place.run, place.etcd, place.registry, place.volumes, place.kubelet):
            folder.mkdir(parents=True, exist_ok=True)
        # Secrets are in etcd and in the volumes of pods.
        place.root.chmod(0o700)
        place.etcd.chmod(0o700)
        pki.ensure(place.pki, components.certificates(_hostname()))
        for path, text in self._files(built).items():
            files.write(path, text)
        imprint.note(place.imprint)
        imprint.prepare()
        firewall.install(place.chain)
        cgroups.create(place.tag)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        everyone = [_located(one, binaries) for one in self._components(registry.reference(built["busybox"]))]
        early = [one for one in everyone if "kube-apiserver" not in one.after]
        with step("Starting etcd, containerd, registry, BuildKit and the API server"):
            push = {"registry": lambda: [registry.push(image) for image in built.values()]}
            supervise.start_all(place, early, push)
        with step("Starting the control plane and the node"):
            api = Api(place.pki)
            for location, manifest in storage.manifests():
                api.apply(location, manifest)
            supervise.start_all(place, [one for one in everyone if one not in early], {})
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


def _hostname() -> str:
    return socket.gethostname().lower()


def _located(component: Component, binaries: Mapping[str, Path]) -> Component:
    program, *arguments = component.argv
    path = str(binaries.get(program) or programs.which(program) or program)
    return dataclasses.replace(component, argv=(path, *arguments))


def _together(found: list[Problem]) -> Problem:
    first, *others = found
    return Problem(first.what, cure=first.cure, detail="\n".join(map(str, others)))
