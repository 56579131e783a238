from __future__ import annotations

import pickle

import cloudpickle
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
    arrived = pickle.loads(content)
    assert type(arrived) is Task
    assert (arrived.name, arrived.tags, arrived.retries, arrived.log_prints) == ("named", {"a"}, 2, True)
    assert arrived.task_key == example.task_key
    assert arrived.fn(1) == 2
    assert len(content) < 0.65 * len(cloudpickle.dumps(example))


def test_a_function_with_values_of_its_own_travels_with_those_of_the_moment() -> None:
    limit = 1

    @task
    def above(number: int) -> bool:
        return number > limit

    packed = PackedTask(above)
    assert pickle.loads(pickle.dumps(packed)).fn(2)
    limit = 2
    assert not pickle.loads(pickle.dumps(packed)).fn(2)
