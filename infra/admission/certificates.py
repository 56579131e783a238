"""Which Secret with certificates belongs to which Dask cluster, in CEL: what a run creates, and what its pods mount."""

from __future__ import annotations

from typing import Any

from ephemeral_dask.contract import dask, labels, tls
from infra.admission import callers, label_keys
from infra.admission.names import literal


def name(cluster: str, job: str) -> str:
    """Return the expression for what `ephemeral_dask.contract.tls.secret_name` returns.

    Args:
        cluster: expression of the DaskCluster's name.
        job: expression of the Job's name, empty for none.

    """
    return f"{cluster} + ({job} == '' ? '' : '.' + {job}) + {literal(tls.SUFFIX)}"


def of_pods() -> dict[str, str]:
    """Return the CEL variables of an object with Dask pods, of which `certificates` is the Secret of its cluster.

    The label with the Job is that of the run: another policy compares it with the pod that makes the request.
    """
    return {
        "cluster": "request.resource.resource == 'deployments'"
        f" ? dyn(object).metadata.?labels[{label_keys.CLUSTER_NAME}].orValue('')"
        " : request.resource.resource == 'daskworkergroups' ? dyn(object).spec.cluster"
        " : dyn(object).metadata.name",
        "owner": f"dyn(object).metadata.?labels[{label_keys.JOB}].orValue('')",
        "certificates": name("variables.cluster", "variables.owner"),
    }


def secrets() -> dict[str, Any]:
    """Return what holds for a Secret that a run creates: variables and validations."""
    owner = "variables.owners.all(owner, owner.kind == 'DaskCluster'"
    return {
        "variables": {
            **callers.JOB_OF_RUN,
            "labels": "dyn(object).metadata.?labels.orValue({})",
            "run": f"variables.labels[{label_keys.JOB}].orValue('')",
            "owners": "dyn(object).metadata.?ownerReferences.orValue([])",
        },
        "validations": [
            {
                "expression": f"dyn(object).?type.orValue({literal(tls.OPAQUE)}) == {literal(tls.OPAQUE)}",
                "message": f"a run creates Secrets of type {tls.OPAQUE} alone: Kubernetes puts the token of an account"
                " into another type",
            },
            {
                "expression": f"variables.run == '' || {callers.is_job_of_run('variables.run')}",
                "message": f"this Secret belongs to the Job in its label {labels.JOB}: only the pod of that Job"
                " creates it",
            },
            {
                "expression": label_keys.are_of_dask("variables.labels"),
                "message": f"a Secret of a run has label {labels.COMPONENT}: {labels.DASK_POD}, and no label of"
                " Prefect, Dask or Kubernetes",
            },
            {
                "expression": f"variables.owners.size() == 1 && {owner}"
                f" && owner.apiVersion == {literal(dask.API_VERSION)}"
                f" && dyn(object).metadata.name == {name('owner.name', 'variables.run')})",
                "message": "a run creates a Secret for the certificates of its Dask cluster alone, which owns it and"
                " whose name it has",
            },
        ],
    }
