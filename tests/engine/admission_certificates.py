"""Requests about the certificates of Dask clusters, and what the admission policies say to each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ephemeral_dask.contract import labels, tls
from tests.engine import admission_objects as made
from tests.engine.admission_request import ADMIN, FLOW, OPERATOR, Request, secret_variable
from tests.support.manifests import changed

_CLUSTER, _GROUP, _SCHEDULER, _CERTIFICATES = made.cluster(), made.large_group(), made.scheduler(), made.certificates()
_OF_DEPLOYMENT, _OF_SCHEDULER, _OF_WORKER = "spec.template.spec", "spec.scheduler.spec", "spec.worker.spec"
_OWN: Final = tls.secret_name(made.CLUSTER, made.JOB)

ALLOWED: Final[Mapping[str, Request]] = {
    "the certificates of a DaskCluster": Request(FLOW, _CERTIFICATES),
    "the certificates of a DaskCluster without a Job": Request(FLOW, made.certificates(owner=None), pod="benchmark"),
    "a Secret of an administrator": Request(ADMIN, changed(_CERTIFICATES, "metadata.name", "any")),
}

_OF_OTHERS: Final = tls.secret_name("other-cluster", "other-job")
REFUSED: Final[Mapping[str, tuple[Request, str]]] = {
    **{
        f"the certificates of another cluster in {what}": (
            Request(user, changed(manifest, f"{where}.volumes.1.secret.secretName", _OF_OTHERS)),
            "beside the certificates of the pods' own Dask cluster",
        )
        for what, user, manifest, where in (
            ("the scheduler of a DaskCluster", FLOW, _CLUSTER, _OF_SCHEDULER),
            ("the worker of a DaskCluster", FLOW, _CLUSTER, _OF_WORKER),
            ("a group of large workers", FLOW, _GROUP, _OF_WORKER),
            ("the scheduler of the operator", OPERATOR, _SCHEDULER, _OF_DEPLOYMENT),
            ("a worker of the operator", OPERATOR, made.worker(), _OF_DEPLOYMENT),
        )
    },
    "the certificates of another run by the name of its cluster": (
        Request(
            FLOW,
            changed(
                changed(_GROUP, "spec.cluster", "other-cluster"),
                f"{_OF_WORKER}.volumes.1.secret.secretName",
                _OF_OTHERS,
            ),
        ),
        "beside the certificates of the pods' own Dask cluster",
    ),
    "certificates as a variable": (
        Request(FLOW, changed(_CLUSTER, f"{_OF_WORKER}.containers.0.env.+", secret_variable(_OWN))),
        "the Secrets",
    ),
    "a Secret with the token of an account": (
        Request(
            FLOW,
            changed(
                changed(_CERTIFICATES, "type", "kubernetes.io/service-account-token"),
                "metadata.annotations.kubernetes~io/service-account~name",
                "default",
            ),
        ),
        "Secrets of type Opaque alone",
    ),
    "a Secret of a name of its own": (
        Request(FLOW, changed(_CERTIFICATES, "metadata.name", "warehouse")),
        "for the certificates of its Dask cluster alone",
    ),
    "a Secret for the cluster of another run": (
        Request(FLOW, changed(_CERTIFICATES, "metadata.name", _OF_OTHERS)),
        "for the certificates of its Dask cluster alone",
    ),
    "a Secret that nothing owns": (
        Request(FLOW, changed(_CERTIFICATES, "metadata.ownerReferences", [])),
        "for the certificates of its Dask cluster alone",
    ),
    "a Secret in the name of another Job": (
        Request(FLOW, _CERTIFICATES, pod="daring-mole-x1y2z"),
        "this Secret belongs to the Job",
    ),
    "a Secret that the platform would take for its own": (
        Request(FLOW, changed(_CERTIFICATES, f"metadata.labels.{labels.COMPONENT}", "operator")),
        "a Secret of a run has label",
    ),
}
