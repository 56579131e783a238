from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra import naming, program
from tests.mocks import Render

JOINED: Callable[[str], str] = lambda key: key.replace("/", "-")  # noqa: E731  the way in which names are joined


def test_a_name_that_no_other_has_stays_as_it_is() -> None:
    assert naming.distinct({"a/b": "a-b", "c/d": "c-d"}) == {"a/b": "a-b", "c/d": "c-d"}


def test_equal_names_get_suffixes_that_do_not_depend_on_the_order() -> None:
    names = {key: JOINED(key) for key in ("a/b-c", "a-b/c", "other/x")}
    result = naming.distinct(names)
    assert result == naming.distinct(dict(reversed(names.items())))
    assert result["other/x"] == "other-x"
    assert sorted(name.rpartition("-")[0] for name in result.values()) == ["a-b-c", "a-b-c", "other"]
    assert len(set(result.values())) == 3


@given(st.lists(st.text(alphabet="a-/日🙂 ", min_size=1, max_size=6), max_size=8, unique=True))
def test_all_resource_names_differ(keys: list[str]) -> None:
    result = naming.distinct({key: JOINED(key) for key in keys})
    assert len(set(result.values())) == len(keys)


FILE = """
deployments:
  - {name: daily-eu, entrypoint: flows.f.sales}
  - {name: eu, entrypoint: flows.f.sales_daily}
  - {name: "Zürich 日本 🙂", entrypoint: flows.f.spaced}
  - {name: a, entrypoint: flows.f.sales, triggers: [{expect: [x], name: b-c}]}
  - {name: a-b, entrypoint: flows.f.sales, triggers: [{expect: [x], name: c}]}
"""
FLOWS = """
from prefect import flow


@flow
def sales(): ...


@flow
def sales_daily(): ...


@flow(name="Weekly report")
def spaced(): ...
"""


def test_objects_whose_joined_names_are_equal_are_all_registered(
    render: Render, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    exported: dict[str, Any] = {}
    monkeypatch.setattr("pulumi.export", exported.__setitem__)
    for name, text in {"flows/f.py": FLOWS, "prefect.yaml": FILE, "requirements/flows.txt": "prefect==3.8.8\n"}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(program, "ROOT", tmp_path)
    config = {
        "image": {"builder": "docker-build", "registry": "localhost:5001"},
        "prefect": {"mode": "embedded", "auth": "none"},
        "workPools": {
            "dask": {"workQueues": {"gpu-fast": {}, "slow": {}}},
            "dask-gpu": {"workQueues": {"fast": {}}},
        },
    }
    recorder = render(program.deploy, config)
    assert {each["name"] for each in recorder.of("prefect:WorkQueue")} == {"gpu-fast", "fast", "slow"}
    assert set(exported["deployments"]) == {
        "sales/daily-eu",
        "sales-daily/eu",
        "Weekly report/Zürich 日本 🙂",
        "sales/a",
        "sales/a-b",
    }
    names = [each.name for each in recorder.resources]
    assert {"queue-dask-slow", "sales-a", "Weekly report-Zürich 日本 🙂"} <= set(names)
    by_type = sorted((each.typ, each.name) for each in recorder.resources)
    assert all(first != second for first, second in itertools.pairwise(by_type))
    assert len([name for name in names if name.startswith("sales-daily-eu-")]) == 2
    assert len([name for name in names if name.startswith("queue-dask-gpu-fast-")]) == 2
    assert len([name for name in names if name.startswith("sales-a-b-c-")]) == 2
