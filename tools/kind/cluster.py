"""The cluster of kind as a whole: starting, stopping and status."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from tools import ports
from tools.errors import Problem
from tools.file_lock import locked
from tools.kind import config, docker, programs
from tools.kind.config import NAME, REGISTRY_CONTAINER, REGISTRY_PORT
from tools.progress import step

_GIB: Final = 1 << 30
_MEMORY: Final = 4
"""GiB that the node and a run need."""
_READY: Final = 180
"""Seconds for the node to be ready."""

_CREATING, _CREATED = "creating", "created"


class KindCluster:
    """A cluster of one node, with a registry that builder and node reach by the same name.

    Args:
        state: folder for its kubeconfig and for the builder's definition.

    """

    def __init__(self, state: Path) -> None:
        self.state = state
        self.kubeconfig = state / "kubeconfig"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make kubectl, Pulumi and buildx use it; the person's own configuration is left alone."""
        return {"KUBECONFIG": str(self.kubeconfig), **self._builder}

    @property
    def _builder(self) -> dict[str, str]:
        return {"BUILDX_CONFIG": str(self.state / "buildx")}

    @property
    def _stamp(self) -> Path:
        return self.state / "cluster"

    def problems(self) -> list[Problem]:
        """Return everything that prevents `up`; changes nothing."""
        try:
            engine = docker.engine()
        except Problem as problem:
            return [problem, *programs.problems()]
        problems = programs.problems()
        if engine.system != "linux":
            problems.append(
                Problem(
                    f"Docker runs {engine.system} containers, and the nodes of kind are Linux containers",
                    remedy="Switch Docker to Linux containers",
                )
            )
        # A virtual machine of 4 GiB reports a little less.
        if engine.memory < (_MEMORY - 0.5) * _GIB:
            problems.append(
                Problem(
                    f"Docker has {engine.memory / _GIB:.1f} GiB of memory, and a stack with a run needs {_MEMORY} GiB",
                    remedy="Give it more in the settings of Docker Desktop, or use a larger machine",
                )
            )
        if docker.attempt("docker", "buildx", "version").returncode != 0:
            problems.append(
                Problem("Docker has no buildx, which builds the images", remedy="Install Docker's buildx plugin")
            )
        if not docker.is_running(REGISTRY_CONTAINER) and ports.free(REGISTRY_PORT) is None:
            problems.append(
                Problem(
                    f"Port {REGISTRY_PORT} is needed by the registry beside kind and is taken by another program",
                    remedy="End that program; `docker ps` and `make cluster-down CLUSTER=local` may know it",
                )
            )
        return problems

    def status(self) -> list[Problem]:
        """Return what does not run of a cluster that was started."""
        if not self._exists():
            return [Problem("The kind cluster is not running", remedy="Start it: make cluster-up (make up does, too)")]
        return [
            Problem(f"The container {name} of the kind cluster does not run", remedy="make cluster-up starts it")
            for name in (self.node, REGISTRY_CONTAINER)
            if not docker.is_running(name)
        ]

    @property
    def node(self) -> str:
        """Name of the node and of its container."""
        return f"{NAME}-control-plane"

    def up(self) -> None:
        """Start registry, cluster and builder; what runs is left alone.

        Raises:
            Problem: a precondition is not met, or a command failed.

        """
        with self._locked():
            for problem in self.problems():
                raise problem
            kind = programs.ensure()
            self._start_registry()
            self._start_node(kind)
            self._connect()
            self._start_builder()

    def down(self) -> None:
        """Delete cluster, registry and builder with everything in them.

        Raises:
            Problem: Docker does not answer, or something cannot be deleted.

        """
        with self._locked():
            docker.engine()
            if self._foreign():
                raise self._not_ours()
            with step("Deleting the kind cluster"):
                docker.attempt("docker", "buildx", "rm", "--force", NAME, seconds=docker.WORK, extra=self._builder)
                if self._exists():
                    self._delete(programs.ensure())
                docker.attempt("docker", "rm", "--force", "--volumes", REGISTRY_CONTAINER, seconds=docker.WORK)
            lock = self._lock
            for path in self.state.iterdir():
                if path != lock:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    @property
    def _lock(self) -> Path:
        return self.state / "lock"

    def _locked(self) -> AbstractContextManager[None]:
        self.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        return locked(self._lock, "starts or stops the kind cluster")

    def _exists(self) -> bool:
        return docker.is_running(self.node) is not None

    def _foreign(self) -> bool:
        return self._exists() and not self._stamp.exists()

    def _not_ours(self) -> Problem:
        return Problem(
            f"There is a kind cluster '{NAME}' that was not started from {self.state}",
            remedy=f"Set EPHEMERAL_DASK_STATE to the folder it was started from, or delete it with `kind delete cluster"
            f" --name {NAME}`",
        )

    def _start_registry(self) -> None:
        running = docker.is_running(REGISTRY_CONTAINER)
        if running:
            return
        remedy = "Read its message below; pulling an image needs a network"
        if running is False:
            docker.run("docker", "start", REGISTRY_CONTAINER, remedy=remedy, seconds=docker.WORK)
            return
        with step("Starting a registry in Docker"):
            docker.run(
                *("docker", "run", "--detach", "--name", REGISTRY_CONTAINER, "--network", "bridge"),
                *("--publish", f"127.0.0.1:{REGISTRY_PORT}:5000", config.REGISTRY_IMAGE),
                remedy=remedy,
                seconds=docker.WORK,
            )

    def _start_node(self, kind: str) -> None:
        if self._foreign():
            raise self._not_ours()
        if self._exists() and self._stamp.read_text() == _CREATING:
            self._delete(kind)  # an interrupted creation
        if not self._exists():
            self._create(kind)
        elif not docker.is_running(self.node):
            with step("Starting the node of kind"):
                docker.run("docker", "start", self.node, remedy="Run make cluster-down cluster-up", seconds=docker.WORK)
        docker.run(
            *("docker", "exec", self.node, "kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "wait"),
            *("--for=condition=Ready", "node", "--all", f"--timeout={_READY}s"),
            remedy="Run make cluster-down cluster-up; `docker logs` of the node says more",
            seconds=_READY + docker.ANSWER,
        )
        docker.run(
            *(kind, "export", "kubeconfig", "--name", NAME, "--kubeconfig", str(self.kubeconfig)),
            remedy="Run make cluster-down cluster-up",
        )

    def _create(self, kind: str) -> None:
        description = self.state / "kind.yaml"
        description.write_text(config.cluster())
        self._stamp.write_text(_CREATING)
        with step("Creating a cluster with kind"):
            docker.run(
                *(kind, "create", "cluster", "--name", NAME, "--image", config.NODE_IMAGE),
                *("--config", str(description), "--kubeconfig", str(self.kubeconfig), "--wait", f"{_READY}s"),
                remedy="Read kind's message below; pulling an image needs a network",
                seconds=docker.WORK,
            )
        self._stamp.write_text(_CREATED)

    def _delete(self, kind: str) -> None:
        docker.run(
            *(kind, "delete", "cluster", "--name", NAME, "--kubeconfig", str(self.kubeconfig)),
            remedy="Read its message below",
            seconds=docker.WORK,
        )

    def _connect(self) -> None:
        """Let the node reach the registry, by the name that images have on this machine."""
        networks = docker.run(
            *("docker", "container", "inspect", "--format", "{{json .NetworkSettings.Networks}}", REGISTRY_CONTAINER),
            remedy="Run make cluster-down cluster-up",
        )
        network = docker.environment().get("KIND_EXPERIMENTAL_DOCKER_NETWORK", "kind")
        if f'"{network}"' not in networks:
            docker.run(
                *("docker", "network", "connect", network, REGISTRY_CONTAINER),
                remedy="Run make cluster-down cluster-up",
            )
        path, content = config.hosts()
        docker.run(
            *("docker", "exec", "--interactive", self.node, "sh", "-c"),
            f"mkdir -p {path.rpartition('/')[0]} && cat > {path}",
            remedy="Run make cluster-down cluster-up",
            stdin=content,
        )

    def _start_builder(self) -> None:
        (self.state / "buildx").mkdir(exist_ok=True)
        if docker.attempt("docker", "buildx", "inspect", NAME, extra=self._builder).returncode != 0:
            docker.run(
                # On the host's network it reaches the registry by the same name as this machine.
                *("docker", "buildx", "create", "--name", NAME, "--driver", "docker-container"),
                *("--driver-opt", "network=host"),
                remedy="Read its message below",
                extra=self._builder,
            )
        docker.run(
            *("docker", "buildx", "inspect", "--bootstrap", NAME),
            remedy="Read its message below; pulling an image needs a network",
            seconds=docker.WORK,
            extra=self._builder,
        )

    def kubectl_folder(self) -> Path | None:
        """Return a folder with a kubectl, where this machine has none: it asks the one in the node."""
        if shutil.which("kubectl"):
            return None
        folder = self.state / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / "kubectl"
        program.write_text(config.kubectl(self.node))
        program.chmod(0o755)
        return folder
