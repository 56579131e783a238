"""`make check`: what a foreign prefect.yaml would register, in three layouts, without a stack."""

from __future__ import annotations

import argparse
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.cells import cell_len

from tools import prefect_yaml_check
from tools.errors import Problem
from tools.verbs import project as verbs

FLOW = """
    from prefect import flow

    @flow
    def load(day: str = "today"):
        pass

    @flow(name="Weekly report")
    def report(top: int):
        pass
"""


def _written(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder / "prefect.yaml"


def _file(entrypoint: str) -> str:
    return f"""
        name: foreign
        deployments:
          - name: daily
            entrypoint: {entrypoint}load
            work_pool: {{name: theirs}}
            schedules: [{{cron: "0 6 * * *", timezone: Europe/Berlin}}, {{cron: "0 0 6 * * *", active: no}}]
          - name: weekly
            entrypoint: {entrypoint}report
            work_queue_name: fast
    """


@pytest.mark.parametrize(
    ("file", "entrypoint"),
    [("f.py", "f.py:"), ("flows/jobs.py", "flows/jobs.py:"), ("src/pkg/jobs.py", "src/pkg/jobs.py:")],
    ids=["flat", "flows/", "src/"],
)
def test_each_layout_is_read(file: str, entrypoint: str, tmp_path: Path) -> None:
    path = _written(tmp_path, {file: FLOW, "prefect.yaml": _file(entrypoint)})
    page, accepted = prefect_yaml_check.report(path, strict=False)
    assert accepted
    assert f"{path}: 2 deployments would register" in page
    daily, second, weekly = page.split("\n---")[0].splitlines()[4:7]
    assert daily.split()[:1] == ["load/daily"]
    assert "theirs" in daily
    assert daily.endswith(" Europe/Berlin")
    assert daily.count(" 06:00") == 3
    assert second.endswith(" UTC (inactive)")
    assert weekly.split("  ")[1] == "Weekly report/weekly"
    assert weekly.endswith("by hand")
    assert "prefect.yaml:10: deployment 'weekly': 'work_queue_name' has no effect below a deployment" in page
    assert page.endswith("Accepted with 2 warnings.")


@pytest.mark.parametrize(
    ("flow", "name"),
    [("Daily Report", "every minute"), ("日本", "毎日 1.5"), ("🙂 flow", "Zürich 🙂"), ("a:b", "c:d'e")],
)
def test_a_name_may_have_spaces_and_any_characters(flow: str, name: str, tmp_path: Path) -> None:
    source = f"from prefect import flow\n@flow(name={flow!r})\ndef load(n: int = 1): ...\n"
    file = f'deployments:\n- {{name: "{name}", entrypoint: "f.py:load", work_pool: {{name: p}}}}\n'
    page, accepted = prefect_yaml_check.report(_written(tmp_path, {"f.py": source, "prefect.yaml": file}), strict=True)
    assert accepted
    assert f"  {flow}/{name} " in page


def test_columns_stay_in_line_where_characters_take_two_columns(tmp_path: Path) -> None:
    flows = {"load": "日本語のフロー", "wide": "🙂🙂", "plain": "Zu\u0308rich"}
    source = "from prefect import flow\n" + "".join(
        f"@flow(name={name!r})\ndef {function}(): ...\n" for function, name in flows.items()
    )
    deployments = "".join(
        f'- {{name: "{name}", entrypoint: "f.py:{function}", work_pool: {{name: p}}}}\n'
        for function, name in (("load", "毎日"), ("wide", "d"), ("plain", "daily"))
    )
    path = _written(tmp_path, {"f.py": source, "prefect.yaml": f"deployments:\n{deployments}"})
    page, _ = prefect_yaml_check.report(path, strict=False)
    head, line, *rows = page.splitlines()[2:7]
    assert len(rows) == 3
    assert {cell_len(row[: row.index(" f.") + 1]) for row in rows} == {head.index("entrypoint")}
    assert cell_len(line) == max(map(cell_len, (head, *rows)))


def test_a_foreign_name_does_not_move_the_cursor_of_a_terminal(tmp_path: Path) -> None:
    source = "from prefect import flow\n@flow(name='a\\x1b[2Kb')\ndef load(): ...\n"
    file = 'deployments:\n- {name: "c\\e[1A\\nd", entrypoint: "f.py:load", work_pool: {name: p}, "x\\ey": 1}\n'
    page, _ = prefect_yaml_check.report(_written(tmp_path, {"f.py": source, "prefect.yaml": file}), strict=False)
    assert "\x1b" not in page
    assert "  a\\x1b[2Kb/c\\x1b[1A\\nd " in page


def test_what_is_refused_is_listed_beside_what_could_be_read(tmp_path: Path) -> None:
    more = "  - {name: lost, entrypoint: f.py:absent}\n  - {name: x, entrypoint: 5}\n"
    text = textwrap.dedent(_file("f.py:")) + more
    page, accepted = prefect_yaml_check.report(_written(tmp_path, {"f.py": FLOW, "prefect.yaml": text}), strict=False)
    assert not accepted
    assert "2 deployments could be read" in page
    assert "Refused (2):\n  prefect.yaml:11: deployment 'lost': entrypoint: " in page
    assert page.endswith("Refused for 2 reasons; `make up` would change nothing.")


@pytest.mark.parametrize("text", ["deployments: [", "- a", "? [a]\n: 1\n"])
def test_a_file_that_cannot_be_read_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    page, accepted = prefect_yaml_check.report(_written(tmp_path, {"prefect.yaml": text}), strict=False)
    assert not accepted
    assert "Refused (1):" in page


def test_warnings_are_refused_when_strict(tmp_path: Path) -> None:
    path = _written(tmp_path, {"f.py": FLOW, "prefect.yaml": _file("f.py:")})
    page, accepted = prefect_yaml_check.report(path, strict=True)
    assert not accepted
    assert page.endswith("Refused, because 2 warnings count as errors (STRICT=1).")


@pytest.mark.parametrize(("strict", "status"), [("", 0), ("1", 1)])
def test_the_exit_status_is_for_ci(
    strict: str, status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _written(tmp_path, {"f.py": FLOW, "prefect.yaml": _file("f.py:")})
    monkeypatch.setenv("EPHEMERAL_DASK_FILE", str(tmp_path))
    monkeypatch.setenv("STRICT", strict)
    assert verbs.check(argparse.Namespace()) == status
    assert "load/daily" in capsys.readouterr().out


@pytest.mark.parametrize(("file", "error"), [("", "No file is named"), ("missing.yaml", "missing.yaml does not exist")])
def test_a_missing_file_is_a_problem_with_a_remedy(file: str, error: str) -> None:
    with pytest.raises(Problem, match=error):
        prefect_yaml_check.located(file)


def test_the_reading_is_bounded_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(*_: object, **__: object) -> None:
        while True:
            pass

    monkeypatch.setattr(prefect_yaml_check, "LONGEST", 0.05)
    monkeypatch.setattr(prefect_yaml_check, "read_deployments", endless)
    start = time.monotonic()
    with pytest.raises(Problem, match="takes more than"):
        prefect_yaml_check.report(_written(tmp_path, {"prefect.yaml": ""}), strict=False)
    assert time.monotonic() - start < 30
