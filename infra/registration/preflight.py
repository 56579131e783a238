"""A look at the live cluster before anything is changed, for what is in the way and not ours.

Kubernetes objects are made by server-side apply, which takes over what exists without a word. This resource makes
nothing; its check runs in every preview and update, and what it refuses ends them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pulumi
from pulumi.dynamic import CheckFailure, CheckResult, Resource

from ephemeral_dask.contract.dask import GROUP
from infra.registration.errors import UnreachableError, say, speak_plainly
from infra.registration.stateless import RememberingProvider

OPERATOR_IMAGE: Final = "dask-kubernetes-operator"
"""Part of the image's name of the operator that its own Helm chart installs."""

DEFINITIONS: Final = tuple(
    f"{kind}.{GROUP}" for kind in ("daskautoscalers", "daskclusters", "daskjobs", "daskworkergroups")
)


@dataclass(frozen=True, kw_only=True)
class PreflightArgs:
    """What is looked at.

    Attributes:
        namespace: of the stack.
        stack_annotation: of a namespace: whose it is.
        stack: this one, as that annotation has it.
        operator: whether the stack installs an operator or uses one that exists.
        operator_namespace: of one that exists.
        version_annotation: of a definition: the dask-kubernetes that it came with.
        version: of dask-kubernetes, here.
        context: of the kubeconfig; the current one when unset.

    """

    namespace: str
    stack_annotation: str
    stack: str
    operator: Literal["install", "existing"]
    operator_namespace: str | None
    version_annotation: str
    version: str
    context: str | None = None


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What there is.

    Attributes:
        namespace: annotations of the namespace, None where there is no such namespace.
        definitions: name -> annotations of Dask's definitions.
        operators: Deployments that run the Dask operator: (namespace, name, command line).

    """

    namespace: Mapping[str, str] | None = None
    definitions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    operators: tuple[tuple[str, str, tuple[str, ...]], ...] = ()


class Preflight(Resource, module="kubernetes", name="Preflight"):
    """Refuses a cluster in which something that is not this stack's is in the way."""

    def __init__(self, name: str, args: PreflightArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        props = {key: value for key, value in vars(args).items() if value is not None}
        super().__init__(PreflightProvider(), name, props, opts)


class PreflightProvider(RememberingProvider):
    """Does its work in the check."""

    def check(self, _olds: dict[str, Any], news: dict[str, Any]) -> CheckResult:
        """Look, and refuse. A cluster that does not answer is passed over: the rest of the preview says so."""
        from infra.registration.kubernetes import look_around  # noqa: PLC0415  a second to import

        speak_plainly()
        args = PreflightArgs(
            operator_namespace=news.get("operator_namespace"),
            context=news.get("context"),
            **{name: news[name] for name in _REQUIRED},
        )
        try:
            seen = look_around(args.namespace, args.context)
        except UnreachableError as error:
            say("warning", f"Not compared with the live cluster. {error}")
            return CheckResult(news, [])
        return CheckResult(news, [CheckFailure("", text) for text in complaints(args, seen)])


_REQUIRED: Final = ("namespace", "stack_annotation", "stack", "operator", "version_annotation", "version")


def complaints(args: PreflightArgs, seen: Seen) -> list[str]:
    """Return a sentence for everything that is in the way."""
    found = list(_namespace(args, seen))
    found += _definitions_to_install(args, seen) if args.operator == "install" else _existing_operator(args, seen)
    return found


def _namespace(args: PreflightArgs, seen: Seen) -> Iterable[str]:
    if seen.namespace is None:
        return
    owner = seen.namespace.get(args.stack_annotation)
    if owner == args.stack:
        return
    whose = f"belongs to stack {owner}" if owner else "exists already and is no stack's"
    yield (
        f"namespace '{args.namespace}' {whose}, and this is {args.stack}: what lives in it would get policies and"
        " limits that it does not expect, and would go with this stack; choose another `namespace`, or hand it over"
        f" with `kubectl annotate --overwrite namespace {args.namespace} {args.stack_annotation}={args.stack}`"
    )


def _definitions_to_install(args: PreflightArgs, seen: Seen) -> Iterable[str]:
    foreign = [name for name, annotations in seen.definitions.items() if args.version_annotation not in annotations]
    if foreign:
        yield (
            f"{', '.join(foreign)} {'is' if len(foreign) == 1 else 'are'} installed by somebody else, whose Dask"
            " clusters a change of version could break; use that operator with `dask.operator: {mode: existing,"
            " namespace: <its namespace>}`, or hand the definitions over with `kubectl annotate crd"
            f" {' '.join(foreign)} {args.version_annotation}={args.version}`"
        )
    for name, marks in seen.definitions.items():
        theirs = marks.get(args.version_annotation, args.version)
        if _version(theirs) > _version(args.version):
            yield (
                f"{name} is of dask-kubernetes {theirs}, newer than {args.version} here: another stack in this"
                " cluster has been upgraded, and going back could lose fields that its Dask clusters use; upgrade this"
                " project"
            )
    for namespace, name, command in seen.operators:
        if namespace != args.namespace and _acts_on(command, args.namespace):
            yield (
                f"the Dask operator {namespace}/{name} acts on namespace '{args.namespace}' already, and two"
                " operators would both make every Dask cluster's pods; use it with `dask.operator: {mode: existing,"
                f" namespace: {namespace}}}`, or bind it to other namespaces with kopf's --namespace"
            )


def _existing_operator(args: PreflightArgs, seen: Seen) -> Iterable[str]:
    missing = [name for name in DEFINITIONS if name not in seen.definitions]
    if missing:
        yield (
            f"dask.operator.mode is existing, and the cluster has no {', '.join(missing)}: install the operator of"
            f" dask-kubernetes {args.version}, or set `dask.operator: {{mode: install}}`"
        )
        return
    there = [command for namespace, _, command in seen.operators if namespace == args.operator_namespace]
    if not there:
        elsewhere = ", ".join(sorted({namespace for namespace, _, _ in seen.operators})) or "nowhere"
        yield (
            f"dask.operator.namespace is '{args.operator_namespace}', and no Dask operator runs there (found:"
            f" {elsewhere}): no Dask cluster would ever start; name the namespace that it runs in"
        )
    elif not any(_acts_on(command, args.namespace) for command in there):
        yield (
            f"the Dask operator in namespace '{args.operator_namespace}' does not act on namespace"
            f" '{args.namespace}': no Dask cluster would ever start; give it that namespace with kopf's --namespace"
        )


def _acts_on(command: tuple[str, ...], namespace: str) -> bool:
    """Tell whether an operator with that command line watches a namespace; kopf's default is all of them."""
    named = [part.partition("=")[2] for part in command if part.startswith("--namespace=")]
    named += [after for part, after in itertools.pairwise(command) if part in ("-n", "--namespace")]
    return not named or namespace in named or "*" in named


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())
