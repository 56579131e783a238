"""Compares the live cluster with what the stack would change in it, before anything is changed.

Kubernetes objects are created by server-side apply, which takes over an existing object silently. `Preflight` creates
nothing; its check runs in every preview and update, and each of its errors stops them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, Resource

from infra.registration.cluster_state import DASK_CRDS, ClusterState
from infra.registration.errors import UnreachableError, install_error_formatter, log
from infra.registration.stateless import StatelessProvider


@dataclass(frozen=True, kw_only=True)
class PreflightArgs:
    """What a preflight compares.

    Attributes:
        namespace: the platform's namespace.
        runs_namespace: the namespace of runs.
        stack_annotation: annotation of a namespace that names its stack.
        stack: this stack, as the annotation's value.
        operator: whether the stack installs a Dask operator or uses an existing one.
        operator_namespace: namespace of the existing operator.
        version_annotation: annotation of a CRD that names the dask-kubernetes version which installed it.
        version: the locked version of dask-kubernetes.
        references: what pods of runs refer to: `kind`, `name`, `key` and `where` of each.
        manifests: pods of runs that the API server is asked about: `key`, and `manifest` as JSON, of each.
        claims: of the stack, as `infra.registration.claims` has them.
        context: kubeconfig context; the current one if unset.
        platforms: what the settings build the images for; those of the nodes if empty.
        admission: whether the stack has admission policies.
        result_folders: whether each deployment has a folder of its own on the result volume.
        reads_api_server: whether the addresses of the API server are those that the cluster has.
        monitoring: kinds of the Prometheus operator that the stack has objects of.

    """

    namespace: str
    runs_namespace: str
    stack_annotation: str
    stack: str
    operator: Literal["install", "existing"]
    operator_namespace: str | None
    version_annotation: str
    version: str
    references: tuple[Mapping[str, str], ...] = ()
    manifests: tuple[Mapping[str, str], ...] = ()
    claims: tuple[Mapping[str, str], ...] = ()
    context: str | None = None
    platforms: tuple[str, ...] = ()
    admission: bool = True
    result_folders: bool = False
    reads_api_server: bool = False
    monitoring: tuple[str, ...] = ()

    @property
    def namespaces(self) -> tuple[str, str]:
        """Both namespaces, the platform's first."""
        return self.namespace, self.runs_namespace


class Preflight(Resource, module="kubernetes", name="Preflight"):
    """Fails a preview or update if the cluster holds something that conflicts with the stack.

    Attributes:
        node_platforms: those of the cluster's nodes; empty as long as they are not known.
        api_server: `cidr` and `ports` of its addresses; empty if they are unknown or the stack file has them.

    """

    node_platforms: pulumi.Output[list[str]]
    api_server: pulumi.Output[list[dict[str, Any]]]

    def __init__(self, name: str, args: PreflightArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {key: value for key, value in vars(args).items() if value not in (None, ())}
        # The check adds them. Pulumi resolves only attributes that are among the properties.
        props |= {"node_platforms": None, "api_server": None}
        super().__init__(PreflightProvider(), name, props, opts)


class PreflightProvider(StatelessProvider):
    """Runs the comparison in its check."""

    def check(self, olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Read the cluster and return every conflict. An unreachable cluster is a warning: other resources fail.

        Nodes that cannot be listed this time, as without the right to do so, are taken to be the ones of last time.
        """
        from infra.registration import admission, api_server, claims, monitoring  # noqa: PLC0415  a second to import
        from infra.registration.dry_run import try_out  # noqa: PLC0415  likewise
        from infra.registration.kubernetes import cluster_state  # noqa: PLC0415  likewise
        from infra.registration.references import look_up  # noqa: PLC0415  likewise

        install_error_formatter()
        args = PreflightArgs(
            operator_namespace=news.get("operator_namespace"),
            context=news.get("context"),
            platforms=tuple(news.get("platforms") or ()),
            admission=news.get("admission", True),
            result_folders=news.get("result_folders", False),
            reads_api_server=news.get("reads_api_server", False),
            **{name: news[name] for name in _REQUIRED},
        )
        # Always lists, though empty ones: what a resource lacks is unknown to a preview, and so to what uses it.
        last = (olds.get("api_server") or []) if args.reads_api_server else []
        news = {**news, "node_platforms": olds.get("node_platforms") or [], "api_server": last}
        try:
            cluster = cluster_state(args.namespaces, args.context)
        except UnreachableError as error:
            log("warning", f"The preflight could not read the cluster, so conflicts in it are not reported. {error}")
            return CheckResult(news, [])
        lookup = look_up(news.get("references") or (), args.context, existing=cluster.namespaces)
        runs = args.runs_namespace
        trial = try_out(news.get("manifests") or (), runs, args.context, exists=runs in cluster.namespaces)
        volumes = claims.read(args.stack_annotation, args.stack, args.namespaces, args.context)
        lost = claims.errors(news.get("claims") or (), volumes.claims, claims.discarded())
        policies = admission.look_up(runs, args.context, enabled=args.admission, of_results=args.result_folders)
        kinds = monitoring.look_up(news.get("monitoring") or (), args.context)
        warnings = [*lookup.warnings, *trial.warnings, *volumes.warnings, *policies.warnings, *kinds.warnings]
        if args.reads_api_server:
            server = api_server.look_up(args.context, last=last)
            warnings += server.warnings
            news["api_server"] = list(server.peers)
        if others := set(cluster.platforms) - set(args.platforms or cluster.platforms):
            platforms = ", ".join(sorted(others))
            warnings.append(f"image.platforms leaves out {platforms}, which some of the nodes are: {_MIXED}.")
        for text in warnings:
            log("warning", text)
        if cluster.platforms:
            news["node_platforms"] = list(cluster.platforms)
        texts = (*errors(args, cluster), *lookup.errors, *trial.errors, *lost, *policies.errors, *kinds.errors)
        return CheckResult(news, [CheckFailure("", text) for text in texts])


_MIXED: Final = "a pod that is scheduled to one of them will not start; add it, or place pods with a nodeSelector"

_MOST_NAMES: Final = 5
"""Names listed in a message."""

_REQUIRED: Final = (
    *("namespace", "runs_namespace", "stack_annotation", "stack"),
    *("operator", "version_annotation", "version"),
)


def errors(args: PreflightArgs, cluster: ClusterState) -> list[str]:
    """Return one message for each conflict, with its remedy."""
    operator_errors = _install_errors if args.operator == "install" else _existing_operator_errors
    return [
        *(error for name in args.namespaces for error in _namespace_errors(args, name, cluster)),
        *operator_errors(args, cluster),
        *_platform_errors(args, cluster),
        *_live_run_errors(args, cluster),
    ]


def _platform_errors(args: PreflightArgs, cluster: ClusterState) -> Iterable[str]:
    if args.platforms and cluster.platforms and not set(args.platforms) & set(cluster.platforms):
        nodes = ", ".join(cluster.platforms)
        yield (
            f"image.platforms is [{', '.join(args.platforms)}], and the cluster's nodes are {nodes}: no container of"
            f" these images could start; set `image.platforms` to [{nodes}], or remove it to build for the nodes"
        )


def _namespace_errors(args: PreflightArgs, name: str, cluster: ClusterState) -> Iterable[str]:
    annotations = cluster.namespaces.get(name)
    if annotations is None:
        return
    owner = annotations.get(args.stack_annotation)
    if owner == args.stack:
        return
    if owner and _renamed(owner, args.stack):
        before, after = owner.split("/")[1], args.stack.split("/")[1]
        yield (
            f"namespace '{name}' belongs to stack {owner}, and this stack is {args.stack}. If `name` in Pulumi.yaml was"
            f" {before} before: it is in the URN of every resource, so an update would create all of them again;"
            f" write `name: {before}` again, and keys such as `{before}:image` in the stack file. If another team has"
            f" project {before}, choose another `namespace` for {after}"
        )
        return
    state = f"belongs to stack {owner}" if owner else "exists already and belongs to no stack"
    key = "namespace" if name == args.namespace else "runsNamespace"
    yield (
        f"namespace '{name}' {state}, and this stack is {args.stack}: its pods would get this stack's"
        f" policies and limits, and destroying this stack would delete it; choose another `{key}`, or hand it over"
        f" with `kubectl annotate --overwrite namespace {name} {args.stack_annotation}={args.stack}`"
    )


def _renamed(owner: str, stack: str) -> bool:
    """Whether two stacks, `organization/project/stack`, differ in the name of the project alone."""
    before, now = owner.split("/"), stack.split("/")
    return len(before) == len(now) == 3 and before[::2] == now[::2] and before[1] != now[1]


def _live_run_errors(args: PreflightArgs, cluster: ClusterState) -> Iterable[str]:
    """Refuse to leave runs behind where neither the operator nor the reaper looks any longer."""
    if cluster.platform_jobs:
        jobs = ", ".join(cluster.platform_jobs[:_MOST_NAMES])
        yield (
            f"{len(cluster.platform_jobs)} flow run(s) are live in namespace '{args.namespace}' ({jobs}), and runs move"
            f" to '{args.runs_namespace}': their Dask clusters would be lost; pause the work pools, and wait for the"
            " runs or cancel them"
        )


def _install_errors(args: PreflightArgs, cluster: ClusterState) -> Iterable[str]:
    foreign = [name for name, annotations in cluster.crds.items() if args.version_annotation not in annotations]
    if foreign:
        yield (
            f"{', '.join(foreign)} {'was' if len(foreign) == 1 else 'were'} installed by another tool, and changing the"
            " version could break Dask clusters that use it; use that operator with `dask.operator: {mode: existing,"
            " namespace: <its namespace>}`, or hand the CRDs over with `kubectl annotate crd"
            f" {' '.join(foreign)} {args.version_annotation}={args.version}`"
        )
    for name, marks in cluster.crds.items():
        live = marks.get(args.version_annotation, args.version)
        if _version(live) > _version(args.version):
            yield (
                f"{name} is of dask-kubernetes {live}, newer than {args.version} in this project: another stack in this"
                " cluster has been upgraded, and a downgrade could drop fields that its Dask clusters use; upgrade this"
                " project"
            )
    for operator in cluster.operators:
        if operator.namespace != args.namespace and _watches(operator.command, args.runs_namespace):
            yield (
                f"the Dask operator {operator.namespace}/{operator.name} watches namespace '{args.runs_namespace}'"
                " already, and two operators would both create the pods of every Dask cluster; use it with"
                f" `dask.operator: {{mode: existing, namespace: {operator.namespace}}}`, or restrict it to other"
                " namespaces with kopf's --namespace"
            )


def _existing_operator_errors(args: PreflightArgs, cluster: ClusterState) -> Iterable[str]:
    missing = [name for name in DASK_CRDS if name not in cluster.crds]
    if missing:
        yield (
            f"dask.operator.mode is existing, and the cluster has no CRD {', '.join(missing)}: install the operator of"
            f" dask-kubernetes {args.version}, or set `dask.operator: {{mode: install}}`"
        )
        return
    commands = [operator.command for operator in cluster.operators if operator.namespace == args.operator_namespace]
    if not commands:
        namespaces = ", ".join(sorted({operator.namespace for operator in cluster.operators})) or "none"
        yield (
            f"dask.operator.namespace is '{args.operator_namespace}', and no Dask operator runs there (namespaces with"
            f" one: {namespaces}): no Dask cluster would ever start; name the namespace that it runs in"
        )
    elif not any(_watches(command, args.runs_namespace) for command in commands):
        yield (
            f"the Dask operator in namespace '{args.operator_namespace}' does not watch namespace"
            f" '{args.runs_namespace}': no Dask cluster would ever start; add the namespace with kopf's --namespace"
        )


def _watches(command: tuple[str, ...], namespace: str) -> bool:
    """Return whether an operator with that command line watches a namespace; kopf's default is all namespaces."""
    namespaces = [part.partition("=")[2] for part in command if part.startswith("--namespace=")]
    namespaces += [value for option, value in itertools.pairwise(command) if option in ("-n", "--namespace")]
    return not namespaces or namespace in namespaces or "*" in namespaces


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
