"""What each verb of `make` does."""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from infra import capacity, job_template, naming
from infra.job_template import JobTemplateArgs
from infra.settings import EmbeddedPrefect, Settings
from tools import definitions, locks, reference, runs, stackfile, target, tiers
from tools import doctor as examination
from tools import image_size as weight
from tools import summary as reviewing
from tools.cluster import LocalCluster
from tools.dashboard import show as show_dashboard
from tools.errors import Problem
from tools.forward import prefect_api
from tools.progress import duration, say, step
from tools.stack import Stack, credential_names
from tools.target import LOCAL, Target

SAMPLE = "digits/search"
"""The deployment that `make up` runs to show that everything works."""


def up(chosen: argparse.Namespace) -> int:
    """Bring up the stack and run the sample flow on it."""
    started = time.monotonic()
    examination.refuse_bad_start(chosen.stack, local=chosen.cluster == LOCAL)
    place = _target(chosen, start=True)
    stack = Stack(chosen.stack, place)
    stack.prepare()
    if cleared := stack.unlock():
        say(f"    cleared {cleared} lock of an update whose process is gone")
    _settle(stack)
    with step(f"pulumi up of stack {stack.name}"):
        changes = stack.up()
    settings = _settings(stack, place)
    outputs = stack.outputs()
    worked = True
    if set(changes) <= {"same"}:
        say(f"    nothing changed in {changes.get('same', 0)} resources; run a flow with: make run FLOW={SAMPLE}")
    elif SAMPLE in outputs["deployments"]:
        worked = runs.start_and_follow(stack, place, settings, SAMPLE) == 0
    _print_addresses(outputs, settings)
    say(f"    stack {stack.name} is up after {duration(time.monotonic() - started)}")
    return 0 if worked else 1


def down(chosen: argparse.Namespace) -> int:
    """Destroy the stack, leave the cluster."""
    place = _target(chosen, start=False)
    stack = Stack(chosen.stack, place)
    stackfile.read(stack.name)
    if not stack.exists():
        say(f"    stack {stack.name} does not exist: nothing to destroy")
        return 0
    stack.prepare()
    stack.unlock()
    if any(begun.startswith("creating ") for begun in _settle(stack)):
        say("    what was created and not recorded is not destroyed: `make up` first takes it into the state")
    with step(f"pulumi destroy of stack {stack.name}"):
        stack.destroy()
    return 0


def preview(chosen: argparse.Namespace) -> int:
    """Show what `up` would change."""
    stackfile.read(chosen.stack)
    stack = Stack(chosen.stack, _target(chosen, start=False))
    stack.prepare()
    stack.preview()
    return 0


def summary(chosen: argparse.Namespace) -> int:
    """Print what `up` would change as Markdown for a pull request."""
    try:
        place = _target(chosen, start=False)
        stack = Stack(chosen.stack, place)
        settings = _settings(stack, place)
        _require_stack(stack, place)
        stack.prepare()
        lines, failed = stack.plan()
    except Problem as problem:
        print(reviewing.failure(chosen.stack, reviewing.Plan(), str(problem)), end="")
        raise
    plan = reviewing.parse(lines)
    if failed is not None:
        print(reviewing.failure(stack.name, plan, failed), end="")
        return 1
    needs = capacity.platform(settings)
    page = reviewing.build(
        plan, templates=_templates(settings), now=datetime.now(UTC), platform=(needs.cpu, needs.memory)
    )
    print(reviewing.render(stack.name, page), end="")
    return 0


def ui(chosen: argparse.Namespace) -> int:
    """Open the Prefect UI's port until Ctrl-C."""
    place = _target(chosen, start=False)
    settings = _settings(Stack(chosen.stack, place), place)
    if not isinstance(settings.prefect, EmbeddedPrefect):
        say(f"    this stack's Prefect has a page of its own: {settings.prefect.ui_url}")
        return 0
    with prefect_api(settings, place.run_environment(), port=naming.SERVER_PORT):
        say(f"    Prefect UI: http://127.0.0.1:{naming.SERVER_PORT} (Ctrl-C closes it)")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            return 0


def dashboard(chosen: argparse.Namespace) -> int:
    """Open a run's live Dask dashboard until Ctrl-C."""
    place = _target(chosen, start=False)
    settings = _settings(Stack(chosen.stack, place), place)
    show_dashboard(runs.text("RUN"), namespace=settings.namespace, environment=place.run_environment())
    return 0


def image_size(chosen: argparse.Namespace) -> int:
    """Print what a node pulls for the stack's images, layer by layer."""
    outputs = Stack(chosen.stack, _target(chosen, start=False)).outputs()
    if "flowImage" not in outputs:
        raise Problem(f"Stack {chosen.stack} has no images yet", remedy=f"Bring it up: make up STACK={chosen.stack}")
    for name, output in (("flow image", "flowImage"), ("platform image", "platformImage")):
        reference = str(outputs[output])
        print("\n".join(weight.lines(name, reference, weight.measure(reference))))
    return 0


def env(chosen: argparse.Namespace) -> int:
    """Print exports for a shell in which pulumi, kubectl and prefect talk to the stack."""
    place = _target(chosen, start=False)
    stack = Stack(chosen.stack, place)
    settings = _settings(stack, place)
    for name, value in {**place.environment, **_shell(stack, settings, place)}.items():
        print(f"export {name}={_quoted(value)}")
    variable, secret = credential_names(settings.prefect)
    if variable not in os.environ and stack.credential(settings.prefect):
        # Read when the shell evaluates it: what this prints may be seen, or kept.
        print(f'export {variable}="$(pulumi config get {secret} --stack {stack.name})"')
    return 0


def doctor(chosen: argparse.Namespace) -> int:
    """Name every missing precondition and its remedy."""
    return examination.examine(chosen.stack, local=chosen.cluster == LOCAL)


def unlock(chosen: argparse.Namespace) -> int:
    """Clear a backend lock whose process is gone."""
    stack = Stack(chosen.stack, _target(chosen, start=False))
    cleared = stack.unlock()
    say(f"    stack {stack.name}: {cleared or 'no'} dead lock{'' if cleared == 1 else 's'} cleared")
    return 0


def cluster_up(_: argparse.Namespace) -> int:
    """Start the local Kubernetes."""
    info = target.start_local_cluster()
    say(f"    KUBECONFIG={info.kubeconfig}, network {info.network}")
    return 0


def cluster_down(_: argparse.Namespace) -> int:
    """Stop the local Kubernetes and take back what it did to this machine."""
    LocalCluster().down()
    return 0


def crd_remove(chosen: argparse.Namespace) -> int:
    """Remove Dask's definitions from the cluster, when no Dask cluster exists anywhere in it."""
    definitions.remove(_target(chosen, start=False).run_environment())
    return 0


def settings_reference(_: argparse.Namespace) -> int:
    """Write docs/settings.md from the settings' types."""
    reference.write()
    return 0


def lock(_: argparse.Namespace) -> int:
    """Resolve pyproject.toml into requirements/*.txt."""
    locks.resolve()
    return 0


def test(chosen: argparse.Namespace) -> int:
    """Run tiers of tests."""
    return tiers.run(chosen.tiers)


def _target(chosen: argparse.Namespace, *, start: bool) -> Target:
    return target.local(start=start) if chosen.cluster == LOCAL else target.existing()


def _settings(stack: Stack, place: Target) -> Settings:
    return stackfile.check(stack.name, stackfile.read(stack.name), place.overrides)


def _settle(stack: Stack) -> list[str]:
    """Tell what a killed update had begun, and let the next one do it again."""
    begun = stack.settle()
    for each in begun:
        say(f"    a killed update had begun this, and it will be looked at again: {each}")
    return begun


def _require_stack(stack: Stack, place: Target) -> None:
    """Refuse a stack that a team's backend does not know: a pull request must not make one by being looked at."""
    if not place.local and not stack.exists():
        raise Problem(
            f"Stack '{stack.name}' does not exist in the Pulumi backend, so there is nothing to compare with",
            remedy=f"Make it with `pulumi stack init {stack.name}` and commit its Pulumi.{stack.name}.yaml",
        )


def _templates(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the work pools' templates without what only the cluster and the image build know."""
    return {
        name: job_template.build(JobTemplateArgs.of(settings, name, image=reviewing.UNKNOWN, credential={}))
        for name in settings.work_pools
    }


def _print_addresses(outputs: Mapping[str, Any], settings: Settings) -> None:
    say(f"    Prefect API inside the cluster: {outputs['prefectApiUrl']}")
    opened = " (open it with `make ui`)" if isinstance(settings.prefect, EmbeddedPrefect) else ""
    say(f"    Prefect UI: {outputs['prefectUiUrl']}{opened}")


def _shell(stack: Stack, settings: Settings, place: Target) -> Mapping[str, str]:
    # `pulumi stack rm` would delete the committed stack file along with the stack.
    found = {"PULUMI_STACK": stack.name, "PULUMI_OPTION_PRESERVE_CONFIG": "true"}
    if place.local:
        found["PULUMI_OPTION_CONFIG_FILE"] = str(stack.config_file)
    if not isinstance(settings.prefect, EmbeddedPrefect):
        return {**found, "PREFECT_API_URL": settings.prefect.api_url}
    command = ["kubectl", "--namespace", settings.namespace, "get", "service", naming.SERVER]
    done = subprocess.run(
        [*command, "--output", "jsonpath={.spec.clusterIP}"],
        env=place.run_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if place.local and done.returncode == 0:
        # kube-proxy runs on this very machine, so it reaches Service addresses itself.
        return {**found, "PREFECT_API_URL": f"http://{done.stdout}:{naming.SERVER_PORT}/api"}
    return {**found, "PREFECT_API_URL": f"http://127.0.0.1:{naming.SERVER_PORT}/api"}


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"
