from __future__ import annotations

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ephemeral_dask.identity import MAX_CLUSTER_NAME, RunIdentity, current_run, new_token

SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")


@given(flow=st.text(max_size=200), run=st.uuids(), attempt=st.integers(1, 100_000))
def test_whatever_the_flow_is_called_its_cluster_and_labels_have_names_that_kubernetes_admits(
    flow: str, run: object, attempt: int
) -> None:
    identity = RunIdentity(flow=flow, flow_run_id=str(run), attempt=attempt)
    name = identity.cluster_name(new_token())
    assert SERVICE_NAME.fullmatch(name)
    assert len(name) <= MAX_CLUSTER_NAME
    assert LABEL_VALUE.fullmatch(identity.flow_label)
    assert len(identity.flow_label) <= 63


def test_run_attempt_subflow_and_second_cluster_each_have_a_name_of_their_own() -> None:
    first = RunIdentity(flow="etl", flow_run_id="0198aaaa-0000", attempt=1)
    names = {
        first.cluster_name("aaaaa"),
        first.cluster_name("bbbbb"),
        replace(first, attempt=2).cluster_name("aaaaa"),
        replace(first, flow_run_id="0198bbbb-0000").cluster_name("aaaaa"),
    }
    assert len(names) == 4


def test_outside_a_flow_run_there_is_still_an_identity() -> None:
    assert SERVICE_NAME.fullmatch(current_run().cluster_name(new_token()))
