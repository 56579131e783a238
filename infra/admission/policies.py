"""The ValidatingAdmissionPolicies of a stack, as specs in the form of the Kubernetes API.

They match the accounts of the platform and of runs alone: a rule that is wrong cannot lock out an administrator, and
users who may create pods themselves do not need a Dask cluster for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ephemeral_dask.contract import dask, labels
from infra import job_template
from infra.admission import allowed, callers, certificates, label_keys, pod_rules, results
from infra.admission.names import literal
from infra.settings import Settings

_CONTROLLERS: Final = (
    # Kubernetes runs its controllers as one user, or each with an account of its own.
    "system:kube-controller-manager",
    *(
        f"system:serviceaccount:kube-system:{name}-controller"
        for name in ("job", "replicaset", "statefulset", "daemon-set", "replication")
    ),
)

_WORKLOADS: Final = ("replicasets", "statefulsets", "daemonsets", "replicationcontrollers", "cronjobs")
"""Further kinds that make pods."""


_PODS_OF_DASK: Final = {
    "pods": "request.resource.resource == 'deployments' ? [dyn(object).spec.template.spec]"
    " : request.resource.resource == 'daskworkergroups' ? [dyn(object).spec.worker.spec]"
    " : [dyn(object).spec.scheduler.spec, dyn(object).spec.worker.spec]"
}
"""The CEL variable with the pods that a Dask object makes."""


def policies(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return name, without the stack's part, -> spec."""
    flow, pods = allowed.flow_pods(settings), allowed.dask_pods(settings)
    images = allowed.images(settings)
    changed = {
        "name": "changes-pods",
        # A live run is scaled though the stack no longer declares a Secret of its pods.
        "expression": "request.operation == 'CREATE' || (request.resource.resource == 'daskworkergroups'"
        " ? dyn(object).spec.worker.spec != dyn(oldObject).spec.worker.spec : dyn(object).spec != dyn(oldObject).spec)",
    }
    dask_rules = [_rule("apps", "deployments"), _rule(dask.GROUP, dask.CLUSTERS, dask.WORKER_GROUPS)]
    made = {
        "creators": _creators(settings, flow, pods),
        "flow-pods": {
            "rules": [_rule("batch", "jobs")],
            "conditions": [callers.platform(settings), changed],
            "variables": {"pods": "[dyn(object).spec.template.spec]"},
            "validations": [
                _labelled("dyn(object).spec.template.metadata", labels.FLOW_RUN_POD),
                *pod_rules.validations(flow, images),
                *results.of_flow_pods(settings),
            ],
        },
        "dask-pods": {
            "rules": dask_rules,
            "conditions": [callers.platform(settings), changed],
            "variables": {
                "template": "request.resource.resource == 'deployments' ? dyn(object).spec.template : dyn(object)",
                **_PODS_OF_DASK,
                **certificates.of_pods(),
            },
            "validations": [
                _labelled("variables.template.metadata", labels.DASK_POD),
                *pod_rules.validations(pods, images, own="variables.certificates"),
                *results.of_dask_pods(settings),
            ],
        },
        "services": _services(settings, changed),
        "runs": _runs(settings),
        "secrets": {
            "rules": [_rule("", "secrets", operations=("CREATE",))],
            "conditions": [callers.run(settings)],
            **certificates.secrets(),
        },
    }
    specs = {name: _spec(settings, **parts) for name, parts in made.items()}
    if job_template.has_folders(settings.results):
        of_deployments = results.of_deployments(settings)
        of_deployments["variables"] |= _PODS_OF_DASK
        conditions = [callers.platform(settings), changed]
        spec = _spec(settings, rules=dask_rules, conditions=conditions, **of_deployments)
        specs["results"] = {"paramKind": results.PARAMETERS, **spec}
    return specs


def _spec(
    settings: Settings,
    *,
    rules: list[Any],
    conditions: list[Any],
    variables: Mapping[str, str],
    validations: list[Any],
) -> dict[str, Any]:
    return {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": settings.namespaces.runs}},
            "resourceRules": rules,
        },
        "matchConditions": conditions,
        "variables": [{"name": name, "expression": expression} for name, expression in variables.items()],
        "validations": validations,
    }


def _rule(group: str, *resources: str, operations: tuple[str, ...] = ("CREATE", "UPDATE")) -> dict[str, Any]:
    return {
        "apiGroups": [group],
        "apiVersions": ["v1"],
        "operations": list(operations),
        "resources": list(resources),
    }


def _labelled(metadata: str, component: str) -> dict[str, str]:
    return {
        "expression": f"{metadata}.?labels[{label_keys.COMPONENT}].orValue('') == {literal(component)}",
        "message": f"these pods are labelled {labels.COMPONENT}: {component}, by which the platform finds them",
    }


def _creators(settings: Settings, flow: allowed.Allowed, pods: allowed.Allowed) -> dict[str, Any]:
    """Return which account creates which kind of object."""
    creators = {
        "pods": ["controller"],
        **{kind: ["none"] for kind in _WORKLOADS},
        "jobs": ["worker"],
        "deployments": ["operator"],
        "services": ["operator"],
        dask.CLUSTERS: ["run"],
        dask.WORKER_GROUPS: ["run", "operator"],
        dask.AUTOSCALERS: ["none"],
        dask.JOBS: ["none"],
    }
    controllers = f"request.userInfo.username in {literal(list(_CONTROLLERS))}"
    create = ("CREATE",)
    component = f"dyn(object).metadata.?labels[{label_keys.COMPONENT}].orValue('')"
    account = "dyn(object).spec.?serviceAccountName.orValue('default')"
    return {
        "rules": [
            _rule("", "pods", "services", "replicationcontrollers", operations=create),
            _rule("apps", "deployments", "replicasets", "statefulsets", "daemonsets", operations=create),
            _rule("batch", "jobs", "cronjobs", operations=create),
            _rule(dask.GROUP, dask.CLUSTERS, dask.WORKER_GROUPS, dask.AUTOSCALERS, dask.JOBS, operations=create),
        ],
        "conditions": [
            {
                "name": "accounts-of-the-stack-and-controllers",
                "expression": f"{callers.is_platform(settings)}"
                f" || (request.resource.resource == 'pods' && {controllers})",
            }
        ],
        "variables": {
            "creator": f"{callers.is_worker(settings)} ? 'worker' : {callers.is_operator(settings)} ? 'operator'"
            f" : {callers.is_run(settings)} ? 'run' : {controllers} ? 'controller' : 'other'",
            "creators": literal(creators),
        },
        "validations": [
            {
                "expression": "variables.creator in variables.creators[request.resource.resource]",
                "messageExpression": "request.userInfo.username + ' creates no ' + request.resource.resource"
                f" + {literal(f' in namespace {settings.namespaces.runs}')}",
                "message": "this account creates no object of this kind in the namespace of runs",
            },
            {
                # The account says what a pod may do, the label what may connect to it and who decides on its end.
                "expression": f"request.resource.resource != 'pods' || {component} == ''"
                f" || ({component} == {literal(labels.FLOW_RUN_POD)} && {flow.accounts.contain(account)})"
                f" || ({component} == {literal(labels.DASK_POD)} && {pods.accounts.contain(account)})",
                "message": f"a pod with label {labels.COMPONENT} is a flow pod and runs as {flow.accounts}, or belongs"
                f" to a Dask cluster and runs as {pods.accounts}",
            },
        ],
    }


def _services(settings: Settings, changed: Mapping[str, str]) -> dict[str, Any]:
    """Return what holds for the Service of a Dask scheduler, which a run describes and the operator creates."""
    service = "variables.service"
    return {
        "rules": [_rule("", "services"), _rule(dask.GROUP, dask.CLUSTERS)],
        "conditions": [callers.platform(settings), dict(changed)],
        "variables": {
            "service": "request.resource.resource == 'services' ? dyn(object).spec"
            " : dyn(object).spec.scheduler.service",
            "cluster": f"{service}.?selector[{label_keys.CLUSTER_NAME}].orValue('')",
        },
        "validations": [
            {
                "expression": f"{service}.?type.orValue('ClusterIP') == 'ClusterIP'"
                f" && {service}.?externalIPs.orValue([]).size() == 0",
                "message": "the Service of a Dask scheduler is of type ClusterIP and has no externalIPs: it is not"
                " reached from outside the cluster",
            },
            {
                "expression": "variables.cluster != '' && dyn(object).metadata.name == (request.resource.resource =="
                " 'services' ? variables.cluster + '-scheduler' : variables.cluster)",
                "message": "the Service of a Dask scheduler selects the pods of its own Dask cluster, by the label"
                " dask.org/cluster-name",
            },
        ],
    }


def _runs(settings: Settings) -> dict[str, Any]:
    """Return what keeps the Dask clusters of runs apart, and within the stack's bounds."""
    large = [each.large_workers.maximum for each in settings.dask.profiles.values() if each.large_workers]
    most = max([settings.dask.ceiling, *large])
    create, update = "request.operation == 'CREATE'", "request.operation == 'UPDATE'"
    roles = "[dyn(object).spec.?scheduler, dyn(object).spec.?worker]"
    of_pods = f"{roles}.all(role, {label_keys.none_is_reserved('role.?metadata.?labels.orValue({})')})"
    replicas = "spec.worker.?replicas.orValue(0)"
    operations = ("CREATE", "UPDATE", "DELETE")
    return {
        "rules": [_rule(dask.GROUP, dask.CLUSTERS, dask.WORKER_GROUPS, operations=operations)],
        "conditions": [callers.run(settings)],
        "variables": {
            **callers.JOB_OF_RUN,
            "labels": "(request.operation == 'DELETE' ? dyn(oldObject) : dyn(object)).metadata.?labels.orValue({})",
            "owner": f"({create} ? dyn(object) : dyn(oldObject)).metadata.?labels[{label_keys.JOB}].orValue('')",
        },
        "validations": [
            {
                "expression": f"variables.owner == '' || {callers.is_job_of_run('variables.owner')}",
                "message": f"this Dask cluster belongs to the Job in its label {labels.JOB}: only the pod of that Job"
                " creates, changes and deletes it",
            },
            {
                "expression": f"!({create}) || dyn(object).metadata.?ownerReferences.orValue([]).all(owner,"
                f" owner.kind != 'Job' || {callers.is_job_of_run('owner.name')})",
                "message": "a Dask cluster is owned by the Job of the pod that creates it, and goes with it",
            },
            {
                "expression": f"!({create}) || {label_keys.are_of_dask('variables.labels')} && {of_pods}",
                "message": f"a Dask cluster has label {labels.COMPONENT}: {labels.DASK_POD}, and no label of Prefect,"
                " Dask or Kubernetes, which the operator would give to its pods",
            },
            {
                "expression": f"!({update}) || variables.labels == dyn(oldObject).metadata.?labels.orValue({{}})"
                " && dyn(object).spec.worker.?metadata == dyn(oldObject).spec.worker.?metadata",
                "message": "a run changes the number of workers, and no label of its Dask cluster",
            },
            {
                "expression": f"request.operation == 'DELETE' || dyn(object).{replicas} <= {most}"
                f" || ({update} && dyn(object).{replicas} <= dyn(oldObject).{replicas})",
                "message": f"a worker group has at most {most} workers: dask.ceiling of the stack file",
            },
        ],
    }
