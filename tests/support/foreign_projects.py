"""Tries projects of others: `python -m tests.support.foreign_projects FOLDER` prints how each prefect.yaml is read.

Every prefect.yaml below the folder is read as `make check` reads it, and each of its deployments is compared with what
Prefect's own deploy code would send. That code imports the flows, so run it where the projects' code may do no harm:
as a user without rights, without a network. Libraries that are not installed are replaced by stand-ins.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_LEVEL, temporary_settings

from infra.prefect_yaml.load import DeploymentError, Reading, read_deployments
from tests.support import flow_project
from tests.support.prefect_deploy import Json, Refused, by_prefect, of_specs
from tests.support.stand_ins import missing_libraries
from tools import prefect_yaml_check

LONGEST: Final = 300
"""Seconds for one file, Prefect's part included."""

_ENVIRONMENT: Final = re.compile(r"{{\s*\$([\w]+)\s*}}")
_VARIABLE: Final = re.compile(r"{{\s*prefect\.variables\.([\w\-]+)\s*}}")
_BY_DESIGN: Final = ("entrypoint", "pull_steps", "parameter_openapi_schema", "description")


def main() -> int:
    """Try all files below a folder, and print a table and the differences."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    outcomes = []
    for number, path in enumerate(sorted(folder.rglob("prefect.y*ml"))):
        outcome = _apart(path, folder, number)
        outcomes.append(outcome)
        print(json.dumps(outcome, default=str), flush=True)
        if arguments.output:
            arguments.output.write_text(json.dumps(outcomes, indent=1, default=str))
    states = Counter(deployment["outcome"] for each in outcomes for deployment in each.get("deployments", ()))
    print(f"{len(outcomes)} files, {sum(states.values())} deployments: {dict(states)}")
    print(f"{sum('crash' in each for each in outcomes)} crashed")
    return 0


def _apart(path: Path, folder: Path, number: int) -> Json:
    """Try a file in a process of its own, because Prefect's code imports the project."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, path, folder, number))
    process.start()
    sender.close()
    try:
        return dict(receiver.recv()) if receiver.poll(LONGEST) else {"file": str(path), "crash": "no end"}
    except EOFError:
        return {"file": str(path), "crash": "the process ended"}
    finally:
        process.kill()
        process.join()


def _send(sender: Any, path: Path, folder: Path, number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    try:
        with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:1/api", PREFECT_LOGGING_LEVEL: "CRITICAL"}):
            outcome = _tried(path, folder, number)
    except BaseException as error:  # noqa: BLE001  a crash is an outcome
        import traceback  # noqa: PLC0415

        outcome = {"file": str(path.relative_to(folder)), "crash": traceback.format_exc() or str(error)}
    sender.send(json.loads(json.dumps(outcome, default=str)))


def _tried(path: Path, folder: Path, number: int) -> Json:
    outcome: Json = {"file": str(path.relative_to(folder))}
    text = path.read_bytes().decode(errors="replace")
    environment = dict.fromkeys(_ENVIRONMENT.findall(text), "value")
    variables = {name: f"value of {name}" for name in _VARIABLE.findall(text)}
    path = _at_root(path, folder, number)
    outcome["root"] = str(path.parent.relative_to(folder))
    start = time.process_time()
    page, accepted = prefect_yaml_check.report(path, strict=False, environment=environment)
    outcome |= {"seconds": round(time.process_time() - start, 2), "accepted": accepted, "page": page}
    warnings: list[str] = []
    try:
        reading = read_deployments(path, environment=environment, variables=variables, warn=warnings.append)
    except DeploymentError as error:
        outcome["refused"] = str(error)
        reading = Reading(deployments=(), errors=(str(error),))
    outcome["deployments"] = list(_compared(path, reading, warnings, environment))
    return outcome


def _at_root(path: Path, folder: Path, number: int) -> Path:
    """Return the file where its entrypoints start from: `prefect deploy --prefect-file` reads it from there."""
    try:
        content = yaml.safe_load(path.read_bytes())
        entrypoints = [str(each["entrypoint"]).partition(":")[0] for each in content["deployments"]]
    except Exception:  # noqa: BLE001  the file of others may be anything
        return path
    files = [each for each in entrypoints if each.endswith(".py")]
    parents = [path.parent, *path.parent.parents]
    parents = [each for each in parents if each.is_relative_to(folder) and each != folder]
    best = max(parents, key=lambda parent: sum((parent / each).is_file() for each in files))
    if best == path.parent or not any((best / each).is_file() for each in files):
        return path
    moved = best / f"prefect-{number}.yaml"
    moved.write_bytes(path.read_bytes())
    return moved


def _compared(path: Path, reading: Reading, warnings: list[str], environment: dict[str, str]) -> Iterator[Json]:
    try:
        raw = yaml.safe_load(path.read_bytes())
        items = raw.get("deployments") or []
    except Exception:  # noqa: BLE001  the file of others may be anything
        items = []
    lines = {spec.location: spec for spec in reading.deployments}
    for index, item in enumerate(items if isinstance(items, list) else []):
        name = item.get("name") if isinstance(item, dict) else None
        if isinstance(item, dict) and name is None:
            continue  # both skip it
        answer: Json = {"name": name, "entrypoint": isinstance(item, dict) and item.get("entrypoint")}
        errors = [error for error in reading.errors if f"deployment '{name}'" in error] or (
            [] if reading.deployments else list(reading.errors)
        )
        with missing_libraries(path.parent) as used:
            try:
                theirs: Any = by_prefect(path, environment, only=index, schemas=True)
            except Refused as refusal:
                theirs = str(refusal)
        answer["stand-ins"] = sorted(used)
        ours = [spec for spec in lines.values() if spec.name == _stem(name)]
        answer |= _judged(path, ours, theirs, errors, [each for each in warnings if f"deployment '{name}'" in each])
        yield answer


def _stem(name: Any) -> str:
    text = str(name)
    return text.removesuffix(".py")


def _judged(path: Path, ours: list[Any], theirs: Any, errors: list[str], warnings: list[str]) -> Json:
    if isinstance(theirs, str):
        return {"outcome": "Prefect refuses", "why": theirs[:300], "ours": errors}
    if errors or not ours:
        return {"outcome": "refused", "why": errors}
    try:
        sent = of_specs(ours, schemas=True)
    except Refused as refusal:
        return {"outcome": "differs", "differences": [f"the server refuses it: {refusal}"]}
    lines = []
    for key, fields in theirs.items():
        if key not in sent:
            lines.append(f"{sorted(sent)}, Prefect: {key}")
            continue
        lines += _differences(sent[key], fields, path, warnings)
    return {"outcome": "differs" if lines else "equal", "differences": lines, "warnings": warnings}


def _differences(ours: Json, theirs: Json, path: Path, warnings: list[str]) -> list[str]:
    for number, schedule in enumerate(theirs["schedules"], 1):
        schedule["slug"] = schedule["slug"] or f"schedule-{number}"
        schedule["schedule"]["timezone"] = schedule["schedule"].get("timezone") or "UTC"
    theirs["work_queue_name"] = theirs["work_queue_name"] or "default"
    theirs["description"] = None if theirs["description"] == "None" else theirs["description"]
    _without_image(ours, theirs)
    names = sorted(name for name in {*ours, *theirs} - set(_BY_DESIGN) if ours.get(name) != theirs.get(name))
    lines = [f"{name}: {ours.get(name)!r}, Prefect: {theirs.get(name)!r}" for name in names]
    defaults = [
        [{"prefect.deployments.steps.set_working_directory": {"directory": place}}]
        for place in (str(path.parent), "/opt/prefect")
    ]
    if not ours.get("pull_steps") and theirs["pull_steps"] in defaults:
        theirs["pull_steps"] = []
    if (ours.get("pull_steps") or []) != theirs["pull_steps"]:
        lines.append(f"pull_steps: {ours.get('pull_steps')!r}, Prefect: {theirs['pull_steps']!r}")
    notes = tuple(re.sub(r"^.*?deployment '.*?': (entrypoint: )?", "", each) for each in warnings)
    flows = [
        flow_project.Flow(name="", description=each["description"] or None, schema=each["parameter_openapi_schema"])
        for each in (ours, theirs)
    ]
    flows[0] = flow_project.Flow(name="", description=flows[0].description, schema=flows[0].schema, notes=notes)
    return lines + flow_project.differences(*flows)


def _without_image(ours: Json, theirs: Json) -> None:
    """Remove the image of a build step, which the stack's replaces, and fill in variables as a worker does."""
    text = _VARIABLE.sub(r"value of \1", json.dumps(ours["job_variables"]))
    ours["job_variables"] = json.loads(text)
    if "image" not in ours["job_variables"] and set(theirs["job_variables"].get("image", "")) <= {":", "/"}:
        theirs["job_variables"].pop("image", None)


if __name__ == "__main__":
    sys.exit(main())
