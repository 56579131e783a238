"""Requests about the result volume, and what the admission policies say to each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from ephemeral_dask.contract import environment as env
from ephemeral_dask.contract import labels, results
from tests.engine import admission_objects as made
from tests.engine.admission_request import FLOW, OPERATOR, WORKER, Request
from tests.support.manifests import Manifest, changed, mounting_results

_WORDS: Final = "mount the folder of their own deployment on the result volume"
_OF_OTHERS: Final = {"subPath": results.folder(made.OTHER_DEPLOYMENT)}
_OF_JOB, _OF_WORKER = "spec.template.spec", "spec.worker.spec"


def _deployment_id(value: Any) -> Manifest:
    """Return a Job whose folder follows from something else than the label of its deployment."""
    job = made.job()
    variables = job["spec"]["template"]["spec"]["containers"][0]["env"]
    [number] = [number for number, each in enumerate(variables) if each["name"] == env.DEPLOYMENT_ID]
    return changed(job, f"{_OF_JOB}.containers.0.env.{number}", {"name": env.DEPLOYMENT_ID, **value})


def _of_scheduler() -> Manifest:
    cluster = made.cluster()
    spec = cluster["spec"]["scheduler"]["spec"]
    worker = cluster["spec"]["worker"]["spec"]
    spec["volumes"] += [each for each in worker["volumes"] if each["name"] == "results"]
    spec["containers"][0]["volumeMounts"].append({"name": "results", "mountPath": "/results", **_OF_OTHERS})
    return cluster


def _refused() -> Iterator[tuple[str, Request]]:
    for what, fields in (
        ("the results of another deployment", _OF_OTHERS),
        ("the whole result volume", {}),
        ("another folder of the result volume", {"subPath": "cache"}),
        ("a folder that a variable names", {"subPathExpr": results.EXPRESSION}),
    ):
        yield f"{what} in a DaskCluster", Request(FLOW, mounting_results(made.cluster(), _OF_WORKER, **fields))
        yield (
            f"{what} in a group of large workers",
            Request(FLOW, mounting_results(made.large_group(), _OF_WORKER, **fields)),
        )
        yield (
            f"{what} in a worker of the operator",
            Request(OPERATOR, mounting_results(made.worker(), _OF_JOB, **fields)),
        )
    for what, fields in (
        ("the results of another deployment", _OF_OTHERS),
        ("the whole result volume", {}),
        ("a folder of another variable", {"subPathExpr": f"{results.PREFIX}$({env.JOB_UID})"}),
    ):
        yield f"{what} in a Job", Request(WORKER, mounting_results(made.job(), _OF_JOB, **fields))
    yield "the id of another deployment in a Job", Request(WORKER, _deployment_id({"value": made.OTHER_DEPLOYMENT}))
    field = {"valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{labels.COMPONENT}']"}}}
    yield "the id of its deployment from another label in a Job", Request(WORKER, _deployment_id(field))
    yield "the results of another deployment in a scheduler", Request(FLOW, _of_scheduler())


REFUSED: Final[Mapping[str, tuple[Request, str]]] = {name: (request, _WORDS) for name, request in _refused()}
