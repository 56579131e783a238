"""Requests about the namespace of runs, and what the admission policies say to each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ephemeral_dask.contract import labels
from infra import naming
from tests.engine import admission_certificates, admission_results
from tests.engine import admission_objects as made
from tests.engine.admission_objects import LIVE
from tests.engine.admission_request import (
    ADMIN,
    FLOW,
    JOBS,
    OPERATOR,
    REAPER,
    REPLICAS,
    WORKER,
    Request,
    secret_variable,
)
from tests.support.manifests import changed

_JOB, _CLUSTER, _GROUP = made.job(), made.cluster(), made.large_group()
_SCHEDULER, _SERVICE, _PLAIN = made.scheduler(), made.service(), made.cluster(tls=False)
_OF_JOB, _OF_SCHEDULER, _OF_WORKER = "spec.template.spec", "spec.scheduler.spec", "spec.worker.spec"
_LOG: Final = {"name": "log", "image": "docker.io/acme/log:1"}

ALLOWED: Final[Mapping[str, Request]] = {
    "a Job": Request(WORKER, _JOB),
    "a Job with other values of its job variables": Request(WORKER, made.job(team="two", tenant="other")),
    "a DaskCluster": Request(FLOW, _CLUSTER),
    "a DaskCluster with a profile": Request(FLOW, made.cluster(profile=True)),
    "a DaskCluster of a flow image from before the label of the Job": Request(
        FLOW, changed(_PLAIN, "metadata.labels", {labels.COMPONENT: labels.DASK_POD})
    ),
    "a DaskCluster without a Job": Request(FLOW, made.cluster(owner=None), pod="benchmark"),
    "a group of large workers": Request(FLOW, _GROUP),
    **admission_certificates.ALLOWED,
    "the group of the operator": Request(OPERATOR, made.default_group()),
    "the scheduler": Request(OPERATOR, _SCHEDULER),
    "a worker": Request(OPERATOR, made.worker()),
    "a worker with a profile": Request(OPERATOR, made.worker(profile=True)),
    "the Service": Request(OPERATOR, _SERVICE),
    "a flow pod": Request(JOBS, made.pod(labels.FLOW_RUN_POD, naming.FLOW_RUN)),
    "a Dask pod": Request(REPLICAS, made.pod(labels.DASK_POD, naming.DASK)),
    "a Dask pod whose account a patch sets": Request(REPLICAS, made.pod(labels.DASK_POD, "with-cloud")),
    "a pod of others": Request(JOBS, changed(made.pod("", "default"), "metadata.labels", {"app": "other"})),
    "anything of an administrator": Request(ADMIN, made.pod(labels.FLOW_RUN_POD, "default")),
    "more workers": Request(
        FLOW, {"spec": {"worker": {"replicas": 20}}}, "PATCH", "DaskWorkerGroup", f"{LIVE}-default"
    ),
    "the operator's finalizer on a cluster that the policies would refuse": Request(
        OPERATOR, {"metadata": {"finalizers": ["kopf.zalando.org/finalizer"]}}, "PATCH", "DaskCluster", "earlier"
    ),
    "more workers of such a cluster": Request(
        FLOW, {"spec": {"worker": {"replicas": 3}}}, "PATCH", "DaskWorkerGroup", "earlier-default"
    ),
    "fewer workers than before, above the ceiling": Request(
        FLOW, {"spec": {"worker": {"replicas": 40}}}, "PATCH", "DaskWorkerGroup", "many-default"
    ),
    "the end of the run's own cluster": Request(FLOW, {}, "DELETE", "DaskCluster", LIVE),
    "the end of a cluster from before the label of the Job": Request(FLOW, {}, "DELETE", "DaskCluster", "earlier"),
    "the end of a cluster by the operator": Request(OPERATOR, {}, "DELETE", "DaskCluster", LIVE, pod="operator"),
}

REFUSED: Final[Mapping[str, tuple[Request, str]]] = {
    # Pods of a Dask cluster: whatever the operator would make of it.
    **{
        f"{what} in the {part} of a DaskCluster": (Request(FLOW, changed(_CLUSTER, f"{where}.{path}", value)), words)
        for part, where in (("scheduler", _OF_SCHEDULER), ("worker", _OF_WORKER))
        for what, path, value, words in (
            ("another account", "serviceAccountName", "flow-run", "run as ServiceAccount dask, with-cloud"),
            ("a Secret as variable", "containers.0.env.+", secret_variable("prefect-database"), "the Secrets"),
            ("a Secret as variables", "containers.0.envFrom.+", {"secretRef": {"name": "other"}}, "the Secrets"),
            (
                "a Secret as variable of an init container",
                "initContainers",
                [{"name": "init", "image": made.IMAGE, "env": [secret_variable("other")]}],
                "the Secrets",
            ),
            ("a Secret as volume", "volumes.+", {"name": "x", "secret": {"secretName": "other"}}, "the Secrets"),
            (
                "a Secret in a projected volume",
                "volumes.+",
                {"name": "x", "projected": {"sources": [{"secret": {"name": "other"}}]}},
                "the Secrets",
            ),
            ("a ConfigMap", "containers.0.envFrom.+", {"configMapRef": {"name": "other"}}, "the ConfigMaps"),
            (
                "a claim",
                "volumes.+",
                {"name": "x", "persistentVolumeClaim": {"claimName": "of-others"}},
                "the claims cache, results",
            ),
            ("a folder of the node", "volumes.+", {"name": "x", "hostPath": {"path": "/"}}, "are of kind"),
            (
                "a claim of its own",
                "volumes.+",
                {"name": "x", "ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}},
                "are of kind",
            ),
            ("another CSI driver", "volumes.+", {"name": "x", "csi": {"driver": "nfs.csi.k8s.io"}}, "CSI drivers"),
            ("the node's network", "hostNetwork", True, "no network, processes or memory of its node"),
            ("the node's processes", "hostPID", True, "no network, processes or memory of its node"),
            ("a privileged container", "containers.0.securityContext.privileged", True, "is not privileged"),
            ("a port of the node", "containers.0.ports.0.hostPort", 8786, "takes no port of its node"),
            ("another image", "containers.0.image", "docker.io/evil/image:1", "image.only is set"),
            ("an image of a similar registry", "containers.0.image", "registryXexample.com/data/a:1", "image.only"),
            ("a pull secret", "imagePullSecrets", [{"name": "api-key"}], "pull with the Secrets mirror, registry"),
            ("a priority class", "priorityClassName", "system-node-critical", "the priority classes batch"),
        )
    },
    **admission_certificates.REFUSED,
    **admission_results.REFUSED,
    "a Secret in a group of large workers": (
        Request(FLOW, changed(_GROUP, f"{_OF_WORKER}.containers.0.env.+", secret_variable("other"))),
        "the Secrets",
    ),
    # Dask clusters of runs, apart from each other.
    "a label that makes Dask pods flow pods": (
        Request(FLOW, changed(_CLUSTER, f"metadata.labels.{labels.COMPONENT}", labels.FLOW_RUN_POD)),
        # Two policies refuse it.
        "ephemeral-dask/component: dask",
    ),
    "such a label of the workers": (
        Request(FLOW, changed(_CLUSTER, f"spec.worker.metadata.labels.{labels.COMPONENT}", labels.FLOW_RUN_POD)),
        "no label of Prefect, Dask or Kubernetes",
    ),
    "a label of Prefect": (
        Request(FLOW, changed(_CLUSTER, "metadata.labels.prefect~io/flow-run-id", "x")),
        "no label of Prefect, Dask or Kubernetes",
    ),
    "a Dask cluster in the name of another Job": (
        Request(FLOW, changed(_PLAIN, f"metadata.labels.{labels.JOB}", "other-job")),
        "belongs to the Job in its label",
    ),
    "a Dask cluster of a pod of another Job": (
        Request(FLOW, _CLUSTER, pod="daring-mole-x1y2z"),
        "belongs to the Job in its label",
    ),
    "a Dask cluster without a pod": (Request(FLOW, _CLUSTER, pod=""), "belongs to the Job in its label"),
    "a Dask cluster that another Job owns": (
        Request(FLOW, changed(_CLUSTER, "metadata.ownerReferences.0.name", "other-job")),
        "is owned by the Job of the pod that creates it",
    ),
    "workers of another run": (
        Request(
            FLOW,
            {"spec": {"worker": {"replicas": 0}}},
            "PATCH",
            "DaskWorkerGroup",
            f"{LIVE}-default",
            pod="other-job-x1y2z",
        ),
        "belongs to the Job in its label",
    ),
    "the program of the own workers' group": (
        Request(
            FLOW,
            {"spec": {"worker": {"spec": {"serviceAccountName": "flow-run"}}}},
            "PATCH",
            "DaskWorkerGroup",
            f"{LIVE}-default",
        ),
        "run as ServiceAccount",
    ),
    "the labels of the own workers' group": (
        Request(
            FLOW,
            {"metadata": {"labels": {labels.FLOW_RUN: "other"}}},
            "PATCH",
            "DaskWorkerGroup",
            f"{LIVE}-default",
        ),
        "changes the number of workers, and no label",
    ),
    "the end of another run's cluster": (
        Request(FLOW, {}, "DELETE", "DaskCluster", LIVE, pod="other-job-x1y2z"),
        "belongs to the Job in its label",
    ),
    "more workers than the ceiling at the start": (
        Request(FLOW, changed(_CLUSTER, "spec.worker.replicas", 21)),
        "at most 20 workers: dask.ceiling",
    ),
    "more workers than the ceiling": (
        Request(FLOW, {"spec": {"worker": {"replicas": 21}}}, "PATCH", "DaskWorkerGroup", f"{LIVE}-default"),
        "at most 20 workers: dask.ceiling",
    ),
    # Services.
    **{
        f"{what} of {part}": (Request(user, changed(manifest, f"{where}.{path}", value)), words)
        for part, user, manifest, where in (
            ("a DaskCluster", FLOW, _CLUSTER, "spec.scheduler.service"),
            ("the operator", OPERATOR, _SERVICE, "spec"),
        )
        for what, path, value, words in (
            ("a load balancer", "type", "LoadBalancer", "is of type ClusterIP"),
            ("a port of the nodes", "type", "NodePort", "is of type ClusterIP"),
            ("an address of others", "externalIPs", ["192.0.2.7"], "has no externalIPs"),
            ("the pods of another run", "selector.dask~org/cluster-name", "other", "selects the pods of its own"),
            ("any pods", "selector", {"app": "other"}, "selects the pods of its own"),
        )
    },
    # Flow pods.
    "another account of a Job": (
        Request(WORKER, changed(_JOB, f"{_OF_JOB}.serviceAccountName", "dask")),
        "run as ServiceAccount flow-run",
    ),
    "another label of a Job's pod": (
        Request(WORKER, changed(_JOB, f"spec.template.metadata.labels.{labels.COMPONENT}", labels.DASK_POD)),
        "labelled ephemeral-dask/component: flow-run",
    ),
    "another Secret of a Job": (
        Request(WORKER, changed(_JOB, f"{_OF_JOB}.containers.0.env.+", secret_variable("prefect-database"))),
        "the Secrets",
    ),
    "a Secret that a job variable cannot name": (
        Request(WORKER, made.job(team="three")),
        "the Secrets all-of-it, api-key, one-of-many, warehouse, warehouse-tls, team\\-(one|two)",
    ),
    "another image of a Job": (Request(WORKER, made.job(image="docker.io/evil/image:1")), "image.only is set"),
    # What the operator makes.
    "another account of a Deployment": (
        Request(OPERATOR, changed(_SCHEDULER, "spec.template.spec.serviceAccountName", "flow-run")),
        "run as ServiceAccount dask",
    ),
    "another label of a Deployment's pods": (
        Request(OPERATOR, changed(_SCHEDULER, f"spec.template.metadata.labels.{labels.COMPONENT}", "flow-run")),
        "labelled ephemeral-dask/component: dask",
    ),
    # Who makes what.
    **{
        f"a {manifest['kind']} of {user}": (Request(user, manifest), f"{user} creates no")
        for user, manifest in (
            (FLOW, _JOB),
            (FLOW, _SCHEDULER),
            (FLOW, _SERVICE),
            (FLOW, made.autoscaler()),
            (FLOW, made.pod("", naming.DASK)),
            (OPERATOR, _JOB),
            (OPERATOR, made.pod(labels.DASK_POD, naming.DASK)),
            (WORKER, _CLUSTER),
            (WORKER, _SCHEDULER),
            (REAPER, _JOB),
        )
    },
    "a flow pod with another account": (
        Request(JOBS, made.pod(labels.FLOW_RUN_POD, "default")),
        "is a flow pod and runs as flow-run",
    ),
    "a Dask pod with another account": (
        Request(REPLICAS, made.pod(labels.DASK_POD, naming.FLOW_RUN)),
        "is a flow pod and runs as flow-run",
    ),
}
