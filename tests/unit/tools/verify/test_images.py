from __future__ import annotations

from collections.abc import Callable

from tools.errors import Problem
from tools.verify import images
from tools.verify.report import Row, Verdict

IMAGE = "registry.test/flow@sha256:0"


def row(has: Callable[[str], bool], image: str = IMAGE) -> Row:
    [only] = images.rows({"pool dask": image}, stack="prod", has=has)
    return only


def test_an_image_that_the_registry_has_is_good() -> None:
    assert row(lambda _: True).verdict is Verdict.OK


def test_an_image_that_the_registry_has_lost_is_named() -> None:
    lost = row(lambda _: False)
    assert lost.verdict is Verdict.FAILED
    assert IMAGE in lost.detail
    assert "make up STACK=prod" in lost.remedy


def test_an_image_without_a_digest_is_refused() -> None:
    assert row(lambda _: True, "registry.test/flow:latest").verdict is Verdict.FAILED


def test_a_registry_that_this_machine_cannot_ask_fails_nothing() -> None:
    def unreachable(_: str) -> bool:
        raise Problem("The registry answers HTTP 401", remedy="Log in")

    assert row(unreachable).verdict is Verdict.UNKNOWN
