"""Which folder of the result volume the pods of a run mount, in CEL.

A flow pod has it from the label with its deployment, which the Prefect worker sets. What a run lets its Dask cluster
mount is compared with the label of its flow pod: the API server looks it up, as a parameter of the policy.
"""

from __future__ import annotations

from typing import Any, Final

from ephemeral_dask.contract import labels, results
from infra import job_template
from infra.admission import callers, label_keys, pod_rules
from infra.admission.names import literal
from infra.settings import Settings

PARAMETERS: Final = {"apiVersion": "v1", "kind": "Pod"}
"""The policy is evaluated for each flow pod of the namespace."""

_OWN: Final = (
    "the pods of a run mount the folder of their own deployment on the result volume, and no other part of it: to share"
    " it among all deployments, set results.shared in the stack file"
)


def of_flow_pods(settings: Settings) -> list[pod_rules.Validation]:
    """Return what holds for flow pods."""
    variable = job_template.DEPLOYMENT_ID
    name, path = literal(variable["name"]), literal(variable["valueFrom"]["fieldRef"]["fieldPath"])
    mount = (
        f"m.?subPath.orValue('') == '' && m.?subPathExpr.orValue('') == {literal(results.EXPRESSION)}"
        f" && c.?env.orValue([]).exists(each, each.name == {name})"
        f" && c.?env.orValue([]).all(each, each.name != {name}"
        f" || each.?valueFrom.?fieldRef.?fieldPath.orValue('') == {path})"
    )
    return _validations(settings, mount)


def of_dask_pods(settings: Settings) -> list[pod_rules.Validation]:
    """Return what holds for Dask pods, whatever the deployment is."""
    pattern = literal(f"^{results.PREFIX}[0-9a-z-]*$")
    return _validations(settings, f"m.?subPathExpr.orValue('') == '' && m.?subPath.orValue('').matches({pattern})")


def of_deployments(settings: Settings) -> dict[str, Any]:
    """Return what compares Dask pods with the flow pod of their run: variables and validations."""
    of_pod = "dyn(params).metadata.?labels"
    [own] = _validations(settings, "m.?subPath.orValue('') == variables.folder")
    job = f"{of_pod}[?{literal(labels.JOB_NAME)}].orValue('')"
    return {
        "variables": {
            "pod": callers.JOB_OF_RUN["pod"],
            "owner": f"dyn(object).metadata.?labels[{label_keys.JOB}].orValue('')",
            "folder": f"{literal(results.PREFIX)} + {of_pod}[?{literal(labels.PREFECT_DEPLOYMENT)}].orValue('')",
            # A run is its pod; what the operator makes of its request has the label that another policy has checked.
            "isOther": f"{callers.is_run(settings)} ? dyn(params).metadata.name != variables.pod"
            f" : {job} != variables.owner",
        },
        "validations": [own | {"expression": f"variables.isOther || {own['expression']}"}],
    }


def _validations(settings: Settings, mount: str) -> list[pod_rules.Validation]:
    """Return the validation that a condition holds for each mount `m` of the volume in a container `c`."""
    if not job_template.has_folders(settings.results):
        return []
    claim = literal(job_template.claim(settings.results))
    mounts = f"{pod_rules.CONTAINERS}.all(c, c.?volumeMounts.orValue([]).all(m, m.name != v.name || {mount}))"
    volumes = f"p.?volumes.orValue([]).all(v, v.?persistentVolumeClaim.?claimName.orValue('') != {claim} || {mounts})"
    return [{"expression": f"variables.pods.all(p, {volumes})", "message": _OWN}]
