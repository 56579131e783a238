"""Cross-checks between prefect.yaml and the stack's settings, before any resource is registered.

Pure: no Pulumi and no network, so that the command line runs the same checks before it starts Pulumi.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ephemeral_dask.contract import knobs, profiles
from infra import capacity, job_template, job_variables, limits, pod_patches, pull_steps
from infra.flow_signature.newer_python import accepted
from infra.image_files import flow_builds, image_errors, library_errors
from infra.prefect_yaml import python_version, templating
from infra.prefect_yaml.contents import check_contents
from infra.prefect_yaml.document import nearest
from infra.prefect_yaml.imports import check_imports
from infra.prefect_yaml.load import DeploymentError, load_deployments, to_stderr
from infra.prefect_yaml.parameters import incomplete
from infra.settings import Prebuilt, Settings, SettingsError, WorkQueue, invalid, layers, parse
from infra.settings.references import CLAIM_OF_RESULTS, references
from infra.specs.automation import AutomationSpec
from infra.specs.deployment import DeploymentSpec

DEFAULT_QUEUE: Final = "default"
"""The queue that Prefect creates in every work pool."""

Deployments = Mapping[str, tuple[DeploymentSpec, ...]]
"""Work pool -> its deployments. Every pool of the stack is a key, in the order of the settings."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Both files, checked against each other: everything that the program needs to know.

    Attributes:
        settings: of the stack.
        deployments: by work pool.

    """

    settings: Settings
    deployments: Deployments

    @property
    def images_with_git(self) -> frozenset[str | None]:
        """The names of the flow images whose runs clone a repository; None is the image without a name."""
        return pull_steps.images_with_git(self.settings, self.deployments)

    def queues(self, pool: str) -> dict[str, WorkQueue]:
        """Return a pool's queues by name: those of the settings, and those that only a deployment names.

        Prefect would create the latter at the first registration, and nothing would ever delete them.
        """
        return _queues(self.settings, pool, self.deployments[pool])


def load_settings(values: Mapping[str, Any], *, stack: str) -> Settings:
    """Check a stack's settings.

    Args:
        values: key without the project's prefix -> value, without secrets.
        stack: its name, for error messages.

    Raises:
        SettingsError: naming every wrong key, a pod that Kubernetes would refuse, or the quota that cannot hold a run.

    """
    settings = parse(values, stack=stack)
    errors = [*layers.mount_errors(settings), *_result_mounts(settings), *limits.errors(settings)]
    errors += pod_patches.collisions(settings) or pod_patches.errors(settings)
    if errors := [*errors, *filter(None, [capacity.quota_error(settings)])]:
        raise SettingsError(invalid(stack, errors))
    return settings


def _result_mounts(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each further mount of the result volume, whose pods the API server would refuse."""
    if not job_template.has_folders(settings.results):
        return
    claim = job_template.claim(settings.results)
    for each in references(settings):
        if (each.kind, each.name) == ("PersistentVolumeClaim", claim) and each.where != CLAIM_OF_RESULTS:
            yield (
                f"{each.where}: the claim '{claim}' holds the task results of all deployments, of which a run mounts"
                " only those of its own: remove this volume, or set results.shared to true"
            )


def load_plan(
    root: Path,
    settings: Settings,
    *,
    stack: str,
    environment: Mapping[str, str] | None = None,
    warn: Callable[[str], None] = to_stderr,
) -> Plan:
    """Read `prefect.yaml` and check it against the stack's settings.

    Args:
        root: the folder with prefect.yaml; entrypoints are looked up from there.
        settings: of the stack.
        stack: its name, for error messages.
        environment: for `{{ $NAME }}` in prefect.yaml; this process's own by default.
        warn: takes a sentence about something that is ignored.

    Raises:
        DeploymentError: prefect.yaml, or what the stack overrides of it, is wrong; the text has a line per mistake.
        SettingsError: the stack file names files or objects that do not exist; likewise.

    """
    warnings: list[str] = []
    warn = warnings.append if settings.strict else warn
    if problems := image_errors(settings.image, root, warn) or library_errors(settings, root):
        raise SettingsError(invalid(stack, problems))
    versions = [build.python for build in flow_builds(settings.image).values()]
    with accepted(*python_version.newer(versions)):
        try:
            specs = load_deployments(
                root / "prefect.yaml",
                overrides=settings.deployments,
                environment=environment,
                variables={name: variable.value for name, variable in settings.variables.items()},
                warn=warn,
            )
        except DeploymentError as error:
            raise DeploymentError(f"{error}{python_version.note(str(error), versions)}") from None
        deployments, errors = _by_pool(specs, settings)
        errors += import_errors(settings, deployments, root, warn)
    for pool, members in deployments.items():
        schema = job_template.variables_schema(settings, pool)
        for spec in members:
            errors += job_variable_errors(spec, schema, settings)
            variables = limits.variable_errors(spec.job_variables, schema, settings, pool)
            errors += [f"{_where(spec)}: job variable {error}" for error in variables]
    for warning in pull_steps.warnings(settings, deployments):
        warn(f"{warning}.")
    errors += [f"{warning.rstrip('.')} (an error, because the stack sets `strict`)" for warning in warnings]
    if errors:
        head = "prefect.yaml is not valid for this stack, so nothing was changed:"
        raise DeploymentError("\n".join([head, *(f"  {error}" for error in errors)]))
    if problems := automation_errors(settings, deployments):
        raise SettingsError(invalid(stack, problems))
    return Plan(settings=settings, deployments=deployments)


def import_errors(settings: Settings, deployments: Deployments, root: Path, warn: Callable[[str], None]) -> list[str]:
    """Return a sentence for everything that a flow loads and its image lacks. Images of others are not checked.

    Args:
        settings: of the stack.
        deployments: by work pool.
        root: the folder with prefect.yaml.
        warn: takes a sentence about an import that cannot be decided.

    """
    image = settings.image
    if isinstance(image, Prebuilt):
        return []
    errors = []
    for pool, specs in deployments.items():
        name = settings.work_pools[pool].image
        build = image.flow if name is None else image.flows[name]
        key = "image.flow" if name is None else f"image.flows.{name}"
        errors += python_version.check_syntax(specs, root, build.python, key=key)
        errors += check_contents(specs, root, build.packages, key=key, lock=build.requirements)
        errors += check_imports(
            specs, root, build.requirements, warn=warn, provided=build.provides, packages=build.packages
        )
    return list(dict.fromkeys(errors))


def _by_pool(specs: Iterable[DeploymentSpec], settings: Settings) -> tuple[Deployments, list[str]]:
    """Sort deployments into the stack's work pools; return the errors beside them."""
    first, *_ = settings.work_pools
    deployments: dict[str, tuple[DeploymentSpec, ...]] = dict.fromkeys(settings.work_pools, ())
    errors = []
    for spec in specs:
        pool = spec.work_pool_name or first
        if pool in deployments:
            deployments[pool] += (spec,)
            continue
        errors.append(
            f"{_where(spec)} names work pool '{pool}', and this stack has only {', '.join(deployments)}:"
            " no worker would run it. Name one of these pools, or none to get the first."
        )
    return deployments, errors


def job_variable_errors(spec: DeploymentSpec, schema: Mapping[str, Any], settings: Settings) -> list[str]:
    """Return a sentence for every job variable of a deployment or of its triggers that no run could have.

    Prefect itself accepts an unknown variable, which then has no effect. The schema has types and bounds; the Dask
    sizes have a meaning beside that.

    Args:
        spec: the deployment.
        schema: of the variables that its work pool's template has, as `job_template.variables_schema` returns it.
        settings: of the stack.

    """
    where = _where(spec)
    errors = _variable_errors(where, spec.job_variables, schema, settings)
    for trigger in spec.triggers:
        variables = trigger.actions[0].get("job_variables", {})
        errors += _variable_errors(f"{where}: trigger '{trigger.name}'", variables, schema, settings)
    return errors


def _where(spec: DeploymentSpec) -> str:
    return f"{spec.location}: deployment '{spec.key}'" if spec.location else f"deployment '{spec.key}'"


def _variable_errors(
    where: str, variables: Mapping[str, Any], schema: Mapping[str, Any], settings: Settings
) -> list[str]:
    known = schema["properties"]
    errors = []
    for name, value in variables.items():
        if name == knobs.PROFILE.name and isinstance(value, str):
            if value not in settings.dask.profiles and not templating.has_placeholder(value):
                errors.append(profiles.unknown(value, settings.dask.profiles, where))
        elif name not in known:
            errors.append(f"{where}: job variable '{name}' is not in the work pool's template; {nearest(name, known)}")
        elif not templating.has_placeholder(value):
            error = job_variables.value_error(name, value, schema)
            remedy = "" if "remove it" in error else "; correct it"
            errors += [f"{where}: job variable '{name}' {error}{remedy}"] if error else []
    minimum, maximum = variables.get(knobs.MINIMUM.name), variables.get(knobs.MAXIMUM.name)
    if isinstance(minimum, int) and isinstance(maximum, int):
        order = knobs.order_error(minimum, maximum)
        errors += [f"{where}: job variables dask_minimum and dask_maximum: {order}"] if order else []
    return errors


def automation_errors(settings: Settings, deployments: Deployments) -> list[str]:
    """Return key and sentence for every automation of the settings that cannot be registered as it is.

    It names an object that is not declared, or it has the name of another automation of the stack: Prefect allows
    two of one name, and nothing could tell them apart.
    """
    specs = [spec for members in deployments.values() for spec in members]
    known: Mapping[str, Collection[str]] = {
        "deployment": [spec.key for spec in specs],
        "work_pool": list(deployments),
        "work_queue": [
            f"{pool}/{queue}" for pool, members in deployments.items() for queue in _queues(settings, pool, members)
        ],
    }
    triggers = {trigger.name: spec.key for spec in specs for trigger in spec.triggers}
    errors = []
    for name, automation in settings.automations.items():
        key = f"automations.{name}"
        if name in triggers:
            errors.append(f"{key}: deployment '{triggers[name]}' has a trigger of that name; rename one")
        for place, action in _actions(automation.spec(name)):
            for kind, names in known.items():
                target = action.get(kind)
                if target is not None and target not in names:
                    errors.append(f"{key}.{place}: {kind} '{target}' is not declared; {nearest(str(target), names)}")
            errors += [f"{key}.{place}: {problem}" for problem in _lacking(action, specs)]
    return errors


def _lacking(action: Mapping[str, Any], specs: Iterable[DeploymentSpec]) -> Iterator[str]:
    """Yield what a run lacks that the action starts."""
    for spec in specs:
        if action.get("type") == "run-deployment" and action.get("deployment") == spec.key:
            parameters = {**spec.parameters, **(action.get("parameters") or {})}
            yield from incomplete(parameters, spec.parameter_schema, enforce=spec.enforce_parameter_schema)


def _queues(settings: Settings, pool: str, specs: Iterable[DeploymentSpec]) -> dict[str, WorkQueue]:
    named = {spec.work_queue_name: WorkQueue() for spec in specs if spec.work_queue_name != DEFAULT_QUEUE}
    return {**named, **settings.work_pools[pool].work_queues}


def _actions(spec: AutomationSpec) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for place in ("actions", "actions_on_trigger", "actions_on_resolve"):
        for index, action in enumerate(getattr(spec, place)):
            yield f"{place}.{index}", action
