"""A Kubernetes control plane without a node that runs anything: etcd, API server, controllers, and a hollow node.

It takes nothing of the machine but free ports of the loopback interface, so it stands beside a local cluster.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.engine import hollow_node
from tests.support.scratch_prefect import free_port
from tools import toolchain
from tools.cluster import components, config, files, pki, process, programs, supervise
from tools.cluster.api import Api
from tools.cluster.component import Component
from tools.cluster.layout import Layout, Port, Ports
from tools.cluster.pki import Certificate
from tools.cluster.wait import until
from tools.errors import Problem

GROUPS: Final = ("kubernetes", "etcd")
"""What the toolchain calls the groups of programs that it consists of."""
_PROGRAMS: Final = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
_PARTS: Final[Mapping[str, tuple[str, ...]]] = {
    "etcd": (),
    "kube-apiserver": (),
    # The hollow node has no heartbeat that could be missed.
    "kube-controller-manager": ("--controllers=*,-node-lifecycle-controller",),
}


@dataclass(frozen=True)
class Kubernetes:
    """A control plane that runs.

    Attributes:
        place: its files.
        programs: name -> path.

    """

    place: Layout
    programs: Mapping[str, Path]

    def kubectl(self, *words: str, stdin: Any = None) -> str:
        """Run a command as the administrator, which must succeed."""
        done = self.try_kubectl(*words, stdin=stdin)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_kubectl(self, *words: str, stdin: Any = None) -> subprocess.CompletedProcess[str]:
        """Run a command as the administrator."""
        options = ["--kubeconfig", str(self.place.kubeconfig), "--cache-dir", str(self.place.root / "kubectl")]
        return subprocess.run(
            [str(self.programs["kubectl"]), *options, *words],
            input=json.dumps(stdin) if stdin else None,
            capture_output=True,
            text=True,
            check=False,
        )


@contextlib.contextmanager
def running(root: Path, behind: Mapping[str, int]) -> Iterator[Kubernetes]:
    """Start a control plane and end it.

    Args:
        root: an empty folder.
        behind: see `hollow_node.running`.

    Raises:
        Problem: a part of it did not start; the detail is its last words.

    """
    binaries = programs.find(toolchain.ensure(GROUPS).values(), _PROGRAMS)
    # A local cluster may run at the same time.
    ports = Ports(*(Port(free_port(), field.name) for field in dataclasses.fields(Ports)))
    place = Layout(root=root, ports=ports)
    for folder in (place.logs, place.etcd):
        folder.mkdir(mode=0o700)
    kubelet = Certificate(name="kubelet", user=f"system:node:{hollow_node.NAME}", groups=("system:nodes",))
    certificates = [each for each in components.certificates("localhost") if each.name != kubelet.name]
    pki.ensure(place.pki, [*certificates, kubelet])
    pki.ensure(place.etcd_pki, components.etcd_certificates(), tokens=False)
    for path, text in config.all_files(place, sandbox_image="", helper_image="", resolver=False).items():
        files.write(path, text)
    with contextlib.ExitStack() as stack:
        for part in components.components(place, helper_image=""):
            if part.name in _PARTS:
                _, *arguments = part.argv
                argv = (str(binaries[part.name]), *arguments, *_PARTS[part.name])
                stack.enter_context(started(dataclasses.replace(part, argv=argv), place.log(part.name)))
        api = Api(place.pki, ports.api)
        stack.enter_context(hollow_node.running(api, place.pki, behind))
        yield Kubernetes(place, binaries)


@contextlib.contextmanager
def started(part: Component, log: Path) -> Iterator[None]:
    """Run one part; not as a local cluster's, which may be one only and outlives who started it."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            part.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"HOME": os.environ.get("HOME", "/"), "PATH": programs.search_path(), **supervise.GO_MEMORY},
        )
    try:
        until(lambda: running.poll() is not None or part.ready(), seconds=supervise.DEADLINE, interval=0.1)
        if running.poll() is not None or not part.ready():
            how = "was silent" if running.poll() is None else f"ended with {running.returncode}"
            raise Problem(f"{part.name} {how}", remedy="Fix what it says below", detail=process.tail(log))
        yield
    finally:
        running.terminate()
        try:
            running.wait(timeout=10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
