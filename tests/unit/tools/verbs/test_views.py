from __future__ import annotations

from typing import Any

from tools.verbs.views import Watch


def pod(name: str, *, ready: bool = True) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions}}


def test_a_pod_that_is_replaced_is_reported_once() -> None:
    watch = Watch()
    assert watch.look([pod("a")]) == ""
    assert "has no pod that is ready" in watch.look([pod("a", ready=False)])
    assert watch.look([]) == ""
    assert "ready again (b)" in watch.look([pod("b")])
    assert watch.look([pod("b")]) == ""
    assert "replaced by c" in watch.look([pod("c")])


def test_one_of_several_pods_that_goes_is_not_worth_a_line() -> None:
    watch = Watch()
    watch.look([pod("a"), pod("b")])
    assert watch.look([pod("b"), pod("c")]) == ""
