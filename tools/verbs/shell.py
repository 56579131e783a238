"""The shell of `make env`: pulumi, kubectl and prefect talk to one stack in it."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Mapping

from infra import naming
from infra.settings import EmbeddedPrefect
from tools.errors import Problem
from tools.kubernetes import Kubernetes
from tools.paths import ROOT
from tools.stack import credential_names
from tools.verbs.common import Selection, select


def env(arguments: argparse.Namespace) -> int:
    """Print exports for a shell in which pulumi, kubectl and prefect talk to the stack."""
    selection = select(arguments)
    settings, stack = selection.settings, selection.stack
    exported = {
        **selection.target.environment,
        "DO_NOT_TRACK": "1",
        # For scripts: the function below is the shell's, and a program that they start does not have it.
        "EPHEMERAL_DASK_STACK": stack.name,
        "PREFECT_API_URL": _api_url(selection),
        "PREFECT_UI_URL": settings.prefect.browser_url,
    }
    for name, value in exported.items():
        print(f"export {name}={shlex.quote(value)}")
    print(pulumi(_options(selection)))
    variable, secret = credential_names(settings.prefect)
    if variable not in os.environ and stack.credential(settings.prefect):
        # Read when the shell evaluates it: what this prints may be kept or seen by others.
        print(f'export {variable}="$(pulumi --cwd {shlex.quote(str(ROOT))} config get {secret})"')
    return 0


def pulumi(options: Mapping[str, str]) -> str:
    """Return a shell function that adds the stack to `pulumi` inside this project only.

    Exported, the same variables would make `pulumi config set` of another project below this folder write into this
    stack's file. So the function looks for the Pulumi.yaml that Pulumi will use, `--cwd` included.

    Args:
        options: variables that Pulumi takes the options from.

    """
    assignments = " ".join(f"{name}={shlex.quote(value)}" for name, value in options.items())
    return f"""pulumi() (
  folder=$PWD previous=
  for word in "$@"; do
    case $previous in -C|--cwd) folder=$word ;; esac
    case $word in --cwd=*) folder=${{word#--cwd=}} ;; esac
    previous=$word
  done
  folder=$(cd "$folder" 2>/dev/null && pwd -P) || folder=/
  while [ -n "$folder" ] && [ ! -e "$folder/Pulumi.yaml" ]; do folder=${{folder%/*}}; done
  if [ "$folder" = {shlex.quote(str(ROOT.resolve()))} ]; then
    export {assignments}
  fi
  command pulumi "$@"
)"""


def _options(selection: Selection) -> Mapping[str, str]:
    # `pulumi stack rm` would delete the committed stack file along with the stack.
    options = {"PULUMI_STACK": selection.stack.name, "PULUMI_OPTION_PRESERVE_CONFIG": "true"}
    if selection.target.managed:
        options["PULUMI_OPTION_CONFIG_FILE"] = str(selection.stack.config_file)
    return options


def _api_url(selection: Selection) -> str:
    settings = selection.settings
    if not isinstance(settings.prefect, EmbeddedPrefect):
        return settings.prefect.api_url
    if selection.target.reaches_services:
        try:
            cluster = Kubernetes(selection.environment)
            service = cluster.get(f"services/{naming.SERVER}", namespace=settings.namespaces.platform)
        except Problem:
            service = None
        if service is not None:
            # kube-proxy runs on this very machine, so it reaches Service addresses itself.
            return f"http://{service['spec']['clusterIP']}:{naming.SERVER_PORT}/api"
    return f"http://127.0.0.1:{naming.SERVER_PORT}/api"
