from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path

import cloudpickle
import pytest
from prefect import task
from prefect.tasks import Task

from ephemeral_dask.lean.packed_task import PackedTask


@task(name="named", tags=["a"], retries=2, log_prints=True)
def example(number: int) -> int:
    return number + 1


def test_a_worker_gets_the_task_itself_in_fewer_bytes() -> None:
    packed = PackedTask(example)
    assert (packed.name, packed.tags) == (example.name, example.tags)
    content = pickle.dumps(packed)
    arrived = pickle.loads(content).unpacked()
    assert type(arrived) is Task
    assert (arrived.name, arrived.tags, arrived.retries, arrived.log_prints) == ("named", {"a"}, 2, True)
    assert arrived.task_key == example.task_key
    assert arrived.fn(1) == 2
    assert len(content) < 0.65 * len(cloudpickle.dumps(example))


def test_a_scheduler_passes_a_task_on_without_importing_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The function itself travels by value, and what it uses by reference.
    source = "from prefect import task\n\ndef helper(): return 1\n\n@task\ndef example(): return helper()\n"
    (tmp_path / "only_on_workers.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    content = pickle.dumps(PackedTask(importlib.import_module("only_on_workers").example))
    del sys.modules["only_on_workers"]
    passed_on = pickle.dumps(pickle.loads(content))
    assert "only_on_workers" not in sys.modules
    assert len(passed_on) == pytest.approx(len(content), rel=0.2)
    assert pickle.loads(passed_on).unpacked().fn() == 1
    assert sys.modules.pop("only_on_workers")


def test_a_function_with_values_of_its_own_travels_with_those_of_the_moment() -> None:
    limit = 1

    @task
    def above(number: int) -> bool:
        return number > limit

    packed = PackedTask(above)
    assert pickle.loads(pickle.dumps(packed)).unpacked().fn(2)
    limit = 2
    assert not pickle.loads(pickle.dumps(packed)).unpacked().fn(2)
