"""Whether a cluster has ValidatingAdmissionPolicies, and whether the person or job that runs Pulumi may create them."""

from __future__ import annotations

import json
from typing import Any, Final

from infra.registration.kubernetes import call
from infra.registration.references import Lookup, ask

_GROUP: Final = "admissionregistration.k8s.io"
_RESOURCES: Final = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
_RIGHTS: Final = tuple((_GROUP, name, verb) for name in _RESOURCES for verb in ("create", "patch"))
"""What a server-side apply needs."""

_OF_RESULTS: Final = (("", "pods", "get"), ("", "pods", "list"))
"""What the API server also asks for, in all namespaces: the policy about results has pods as its parameters."""

_UNBOUND: Final = "a flow can use every ServiceAccount, Secret and volume in namespace '{namespace}', by a DaskCluster"


def look_up(namespace: str, context: str | None, *, enabled: bool, of_results: bool) -> Lookup:
    """Return an error if the cluster has no such policies, and a warning if there will be none or this user may not.

    Args:
        namespace: of runs.
        context: kubeconfig context; the current one if None.
        enabled: whether the stack has policies.
        of_results: whether one of them is about task results.

    """
    consequence = _UNBOUND.format(namespace=namespace)
    if not enabled:
        return Lookup(warnings=(f"admission is false: {consequence}.",))

    async def work(api: Any) -> Lookup:
        served = await call(api, "GET", version=f"{_GROUP}/v1", base="/apis") or {"resources": []}
        if missing := set(_RESOURCES) - {each["name"] for each in served["resources"]}:
            text = (
                f"admission is true, its default, and the cluster has no {', '.join(sorted(missing))} of version v1,"
                " which Kubernetes has since 1.30: upgrade it, or set `admission: false`, with which"
            )
            return Lookup(errors=(f"{text} {consequence}",))
        rights = (*_RIGHTS, *(_OF_RESULTS if of_results else ()))
        denied = [right for right in rights if not await _may(api, *right)]
        if not denied:
            return Lookup()
        names = ", ".join(f"{verb} {name} ({group or 'in all namespaces'})" for group, name, verb in denied)
        shared = " set `results.shared: true`, for which the others suffice," if set(denied) <= set(_OF_RESULTS) else ""
        text = (
            f"This user lacks the rights {names}, so that it cannot bring up the stack: give it a ClusterRole with"
            f" them,{shared} or set `admission: false`, with which"
        )
        return Lookup(warnings=(f"{text} {consequence}.",))

    note = "Whether the cluster takes admission policies could not be found out."
    return ask("Could not ask for ValidatingAdmissionPolicies", context, work, note=note)


async def _may(api: Any, group: str, resource: str, verb: str) -> bool:
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"group": group, "resource": resource, "verb": verb}},
    }
    answer = await call(
        api, "POST", version="authorization.k8s.io/v1", url="selfsubjectaccessreviews", content=json.dumps(review)
    )
    return bool(answer and answer["status"]["allowed"])
