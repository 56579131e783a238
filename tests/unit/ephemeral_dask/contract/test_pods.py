from __future__ import annotations

import pytest

from ephemeral_dask.contract import pods
from ephemeral_dask.contract.pods import PodExtras, RunPods

WAREHOUSE = {"name": "warehouse", "key": "password"}
FULL = PodExtras(
    env={"GREETING": "{{ hello }}", "EMPTY": ""},
    secret_env={"PGPASSWORD": WAREHOUSE},
    env_from=({"secretRef": {"name": "warehouse"}, "prefix": "PG"},),
    volumes={"shm": {"source": {"emptyDir": {"medium": "Memory"}}, "mount": {"mountPath": "/dev/shm"}}},
    resources={"nvidia.com/gpu": "1"},
    cpu_limit="2",
    tolerations=({"key": "gpu", "operator": "Exists"},),
    topology_spread=({"maxSkew": 1},),
    patches=({"spec": {"dnsPolicy": "Default"}},),
)


def test_the_additions_of_all_pods_arrive_in_the_flow_pod_as_the_stack_wrote_them() -> None:
    sent = RunPods(flow=FULL, scheduler=PodExtras(annotations={"a": "b"}), scheduler_cpu="2")
    text = pods.encode(sent)
    assert pods.decode(text) == sent
    assert "{{" not in text  # Prefect would look for a job variable of that name


@pytest.mark.parametrize("text", ["[]", '{"flow": 3}', '{"flow": {"colour": 1}}', '{"pods": {}}', "{"])
def test_another_text_is_refused_as_a_value(text: str) -> None:
    with pytest.raises(ValueError, match=r"mapping of pods|Expecting"):
        pods.decode(text)


def test_mappings_are_merged_by_key_and_a_list_or_value_replaces_the_earlier_one() -> None:
    low = PodExtras(env={"A": "1", "B": "1"}, tolerations=({"key": "a"},), priority_class="low", cpu_limit="1")
    high = PodExtras(env={"B": "2", "C": "2"}, tolerations=({"key": "b"},), priority_class="high")
    result = pods.merged(low, high, PodExtras())
    assert result.env == {"A": "1", "B": "2", "C": "2"}
    assert (result.tolerations, result.priority_class, result.cpu_limit) == (({"key": "b"},), "high", "1")


def test_all_patches_are_applied_the_stacks_first() -> None:
    one, two = {"spec": {"dnsPolicy": "Default"}}, {"spec": {"hostname": "h"}}
    assert pods.merged(PodExtras(patches=(one,)), PodExtras(patches=(two,))).patches == (one, two)


def test_a_variable_is_either_a_value_or_a_secret_and_the_later_layer_decides() -> None:
    plain, secret = PodExtras(env={"PGPASSWORD": "none"}), PodExtras(secret_env={"PGPASSWORD": WAREHOUSE})
    assert pods.merged(plain, secret) == secret
    assert pods.merged(secret, plain) == plain


def test_what_a_scheduler_shares_with_its_workers_is_environment_and_files_and_no_resource() -> None:
    shared = FULL.shared()
    assert shared == PodExtras(env=FULL.env, secret_env=FULL.secret_env, env_from=FULL.env_from, volumes=FULL.volumes)
