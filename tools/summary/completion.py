"""What the engine does not know in a preview, completed from the settings and the rest of the plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from ephemeral_dask.contract import environment as env
from tools.summary.events import KUBERNETES, PREFECT, UNKNOWN, Fields, Step

_CREDENTIAL: Final = (env.API_SECRET_VARIABLE, env.API_SECRET_NAME, env.API_SECRET_KEY)


def complete(steps: Iterable[Step], templates: Mapping[str, Fields]) -> list[Step]:
    """Return the steps with the templates of work pools and the namespaces of Kubernetes objects.

    Args:
        steps: of a plan.
        templates: work pool -> its base job template as the settings make it.

    """
    return _in_their_namespace([_with_template(step, templates) for step in steps])


def _with_template(step: Step, templates: Mapping[str, Fields]) -> Step:
    if step.type != f"{PREFECT}WorkPool" or step.new is None or step.new.get("base_job_template") != UNKNOWN:
        return step
    template = templates.get(str(step.new.get("name")))
    if template is None:
        return step
    before = step.old
    if before is not None:
        before = {**before, "base_job_template": _without_credential(before["base_job_template"])}
    after = {**step.new, "base_job_template": _without_credential(template)}
    return replace(step, old=before, new=after)


def _in_their_namespace(steps: list[Step]) -> list[Step]:
    """Undo that the Kubernetes provider writes `default` for a namespace that does not exist yet.

    If a plan creates both of a stack's namespaces, it does not say which of them an object is in.
    """
    kind = f"{KUBERNETES}core/v1:Namespace"
    created = [step.new for step in steps if step.type == kind and step.operation == "create" and step.new is not None]
    if not created:
        return steps
    names = [each.get("metadata", {}).get("name") for each in created]
    return [_moved(step, names[0] if len(names) == 1 else None) for step in steps]


def _moved(step: Step, namespace: str | None) -> Step:
    metadata = (step.new or {}).get("metadata")
    if not step.type.startswith(KUBERNETES) or not isinstance(metadata, Mapping):
        return step
    if metadata.get("namespace") != "default" or step.new is None:
        return step
    own = {} if namespace is None else {"namespace": namespace}
    others = {key: value for key, value in metadata.items() if key != "namespace"}
    return replace(step, new={**step.new, "metadata": {**others, **own}})


def _without_credential(template: Any) -> Any:
    """Leave out what does not follow from the settings alone: which Secret holds the credential."""
    if not isinstance(template, Mapping):
        return template
    configuration = template.get("job_configuration") or {}
    kept = {name: value for name, value in (configuration.get("env") or {}).items() if name not in _CREDENTIAL}
    return {**template, "job_configuration": {**configuration, "env": kept}}
