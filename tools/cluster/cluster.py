"""The local cluster as a whole: up, down, and how it is."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
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
    machine,
    packages,
    pki,
    preflight,
    process,
    programs,
    registry,
    storage,
)
from tools.cluster.api import Api, node_ready
from tools.cluster.programs import search_path
from tools.cluster.components import Component
from tools.cluster.images import Built
from tools.cluster.layout import NODE_NAME, REGISTRY, Layout
from tools.cluster.process import Identity
from tools.cluster.wait import until
from tools.errors import Problem
from tools.progress import say, step

START_DEADLINE = 120.0
"""Seconds for one component to become ready; on an idle machine each takes less than ten."""
NODE_DEADLINE = 120.0
"""Seconds for the node to say Ready."""
POD_GRACE = 5.0
"""Seconds that containers have to end when the cluster goes down."""
STAY_TO_THE_LAST = ("containerd", "kube-apiserver", "registry", "buildkitd")
"""Components that end after the pods; etcd is the very last."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """How to use a running cluster.

    `registry` is the beginning of image names, `buildkit` the address of buildkitd, `base_image` a Python image by digest,
    `docker_config` the folder to export as DOCKER_CONFIG, `buildx` the builder that it defines, `ca_bundle` the file of
    authorities that this machine uses instead of the public ones, or None: an image build that fetches packages needs it
    as a secret.
    """

    kubeconfig: Path
    registry: str
    buildkit: str
    base_image: str
    docker_config: Path
    buildx: str
    ca_bundle: Path | None

    def environment(self) -> dict[str, str]:
        """The variables that make kubectl, Pulumi and buildx use the cluster."""
        return {"KUBECONFIG": str(self.kubeconfig), "DOCKER_CONFIG": str(self.docker_config)}


@dataclass(frozen=True)
class ComponentStatus:
    """How one component is: alive when its process runs and answers; otherwise `detail` says what is wrong."""

    name: str
    pid: int | None
    alive: bool
    detail: str = ""


class LocalCluster:
    """A single-node Kubernetes made of processes on this machine.

    Args:
        place: where it keeps its things; the folder of `state_dir()` by default.
        binaries: path of each of `programs.BUILT`; asked of the toolchain by up() when left out.

    """

    def __init__(self, place: Layout | None = None, *, binaries: Mapping[str, Path] | None = None) -> None:
        self.place = place or Layout()
        self._binaries = binaries

    # What there is.

    def _components(self, helper_image: str = "") -> list[Component]:
        return components.components(self.place, helper_image=helper_image)

    def _pid_file(self, name: str) -> Path:
        return self.place.run / f"{name}.pid"

    def _alive(self, name: str) -> Identity | None:
        identity = process.read_pid_file(self._pid_file(name))
        return identity if identity and identity.alive() else None

    def _running(self) -> list[Identity]:
        """Components that run, by their pid files; whatever version of this program started them."""
        found = (process.read_pid_file(file) for file in sorted(self.place.run.glob("*.pid")))
        return [identity for identity in found if identity and identity.alive()]

    def status(self) -> list[ComponentStatus]:
        """How each component is, in the order of starting; asks them, changes nothing."""
        return [self._status(component) for component in self._components()]

    def _status(self, component: Component) -> ComponentStatus:
        noted = process.read_pid_file(self._pid_file(component.name))
        if noted is None:
            return ComponentStatus(component.name, None, alive=False, detail="not started")
        if not noted.alive():
            last = process.tail(self.place.logs / f"{component.name}.log", 1)
            return ComponentStatus(
                component.name, noted.pid, alive=False, detail=f"ended; its last words: {last}"
            )
        if component.ready():
            return ComponentStatus(component.name, noted.pid, alive=True)
        log = self.place.logs / f"{component.name}.log"
        return ComponentStatus(component.name, noted.pid, alive=False, detail=f"does not answer, see {log}")

    def preflight(self) -> list[Problem]:
        """What stands in the way of up(); changes nothing."""
        return preflight.problems(self.place, (identity.pid for identity in self._running()))

    def control_plane_memory(self) -> int:
        """Bytes in RAM of all our processes together, as a sum of RSS: without pods and their shims."""
        return sum(process.resident_memory(identity.pid) for identity in self._running())

    def info(self) -> Access:
        """How to use the running cluster.

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
        )

    # Up.

    def up(self) -> Access:
        """Bring the cluster up, or leave it alone when it is up and healthy.

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
            built = {
                name: images.ensure(image, self.place.images) for name, image in images.catalogue().items()
            }
            self._stop()
            started = time.monotonic()
            try:
                self._start(built, binaries)
            except BaseException:
                # A cluster that is half up helps nobody. The logs stay.
                say("    taking down what was started")
                self._stop()
                raise
            say(f"    the cluster is up after {time.monotonic() - started:.0f} s")
            return self._access(built["debian-python"])

    def _as_wanted(self) -> Access | None:
        """How to use the cluster if it runs as this program would start it, else None."""
        noted = self._read_note()
        # The cheap questions first; most of the time the cluster is either up or not.
        if not noted or any(self._alive(component.name) is None for component in self._components()):
            return None
        built = {
            name: Built(name, self.place.images / image.folder) for name, image in images.catalogue().items()
        }
        if not all(image.folder.is_dir() for image in built.values()):
            return None
        if noted != self._fingerprint(built) or pki.stale(
            self.place.pki, components.certificates(_hostname())
        ):
            return None
        if not all(one.alive for one in self.status()):
            return None
        node = Api(self.place.pki).get(f"/api/v1/nodes/{NODE_NAME}")
        return self._access(built["debian-python"]) if node_ready(node, since="") else None

    def _read_note(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.place.run / "started").read_text()
        return ""

    def _files(self, built: dict[str, Built]) -> dict[Path, str]:
        return config.all_files(
            self.place, sandbox_image=registry.reference(built["pause"]), resolver=machine.has_resolver()
        ) | {
            self.place.config / "volumes.json": storage.provisioner_config(self.place.volumes),
            self.place.config / "helper-pod.yaml": storage.helper_pod(registry.reference(built["busybox"])),
        }

    def _fingerprint(self, built: dict[str, Built]) -> str:
        """A digest of all that a running cluster was told, but for where its programs are."""
        arguments = [c.argv for c in self._components(registry.reference(built["busybox"]))]
        told = {str(path): text for path, text in self._files(built).items()}
        return hashlib.sha256(json.dumps([arguments, told], sort_keys=True).encode()).hexdigest()

    def _start(self, built: dict[str, Built], binaries: Mapping[str, Path]) -> None:
        place = self.place
        for folder in (place.run, place.etcd, place.registry, place.volumes, place.kubelet):
            folder.mkdir(parents=True, exist_ok=True)
        # Secrets are in etcd and in pods' volumes.
        place.root.chmod(0o711)
        place.etcd.chmod(0o700)
        pki.ensure(place.pki, components.certificates(_hostname()))
        for path, text in self._files(built).items():
            files.write(path, text)
        imprint.note(place.imprint)
        imprint.prepare()
        firewall.install(place.chain)
        cgroups.create(place.tag)
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        everyone = [_located(c, binaries) for c in self._components(registry.reference(built["busybox"]))]
        early = [component for component in everyone if "kube-apiserver" not in component.after]
        with step("Starting etcd, containerd, registry, BuildKit and the API server"):
            self._start_all(
                early, then={"registry": lambda: [registry.push(image) for image in built.values()]}
            )
        with step("Starting the control plane and the node"):
            api = Api(place.pki)
            for location, manifest in storage.manifests():
                api.apply(location, manifest)
            self._start_all([component for component in everyone if component not in early])
            ready = until(
                lambda: (
                    node_ready(api.get(f"/api/v1/nodes/{NODE_NAME}"), since=since)
                    or bool(self._dead(everyone))
                ),
                seconds=NODE_DEADLINE,
                interval=0.2,
            )
            self._raise_if_dead(everyone)
            if not ready:
                raise self._failed("kubelet", f"did not report a ready node within {NODE_DEADLINE:.0f} s")
        files.write(place.run / "started", self._fingerprint(built))

    def _start_all(
        self, wanted: list[Component], then: dict[str, Callable[[], object]] | None = None
    ) -> None:
        """Start components as soon as those they need are ready, and wait for all.

        Args:
            wanted: the components.
            then: what to do once a component is ready, before it counts as ready.

        """
        ready: set[str] = set()
        begun: dict[str, float] = {}
        names = {component.name for component in wanted}

        def advance() -> bool:
            for component in wanted:
                if component.name not in begun and not set(component.after) & names - ready:
                    self._start_one(component)
                    begun[component.name] = time.monotonic()
                elif component.name in begun and component.name not in ready:
                    self._raise_if_dead([component])
                    if component.ready():
                        (then or {}).get(component.name, lambda: None)()
                        ready.add(component.name)
                    elif time.monotonic() - begun[component.name] > START_DEADLINE:
                        raise self._failed(component.name, f"was not ready within {START_DEADLINE:.0f} s")
            return ready == names

        until(advance, seconds=START_DEADLINE * len(wanted), interval=0.1)
        # What was ready may have ended since.
        self._raise_if_dead(wanted)

    def _start_one(self, component: Component) -> None:
        # No proxy settings: everything that these talk to is on this machine. BuildKit fetches from the world.
        keep = os.environ if component.name == "buildkitd" else {"HOME": os.environ.get("HOME", "/root")}
        try:
            process.start(
                component.argv,
                log=self.place.logs / f"{component.name}.log",
                pid_file=self._pid_file(component.name),
                mark=str(self.place.root),
                environment={**keep, "PATH": search_path()},
            )
        except OSError as error:
            raise Problem(
                f"{component.argv[0]} cannot be started: {error}", cure="Build it anew with `make tools`"
            ) from error

    def _dead(self, wanted: list[Component]) -> list[Component]:
        return [component for component in wanted if self._alive(component.name) is None]

    def _raise_if_dead(self, wanted: list[Component]) -> None:
        for component in self._dead(wanted):
            raise self._failed(component.name, "ended while the cluster was starting")

    def _failed(self, name: str, how: str) -> Problem:
        log = self.place.logs / f"{name}.log"
        return Problem(
            f"The local cluster's {name} {how}",
            cure=f"Its last words are below, all of them in {log}; "
            "`python -m tools.cluster purge` makes the next start an empty one",
            detail=process.tail(log),
        )

    # Down.

    def down(self, *, purge: bool = False) -> None:
        """Take the cluster down: pods, processes and what they made on this machine. Does nothing to one that is down.

        Args:
            purge: also forget its objects, volumes, images and certificates.

        Raises:
            Problem: when something cannot be taken away.

        """
        with self._locked():
            self._stop()
            if purge:
                files.remove_tree(self.place.root)

    def _stop(self) -> None:
        running = {
            file.stem: identity
            for file in self.place.run.glob("*.pid")
            if (identity := self._alive(file.stem))
        }
        with step("Stopping the local cluster") if running else contextlib.nullcontext():
            last = {name: running.pop(name) for name in (*STAY_TO_THE_LAST, "etcd") if name in running}
            etcd = last.pop("etcd", None)
            process.stop(running.values(), grace=10)
            leftovers.end_pods(self.place, grace=POD_GRACE)
            process.stop(last.values(), grace=5)
            process.stop([etcd] if etcd else [], grace=10)
            leftovers.sweep(self.place)
            for file in (*self.place.run.glob("*.pid"), self.place.run / "started"):
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
