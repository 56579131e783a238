from __future__ import annotations

from typing import Any

import pytest
import yaml

from infra.settings import Settings
from tools import registry
from tools.errors import Problem
from tools.supply_chain import base_image

FILE = """\
# The image.
config:
  ephemeral-dask:namespace: flows
  ephemeral-dask:image:
    builder: docker-build   # BuildKit
    registry: r
    base: python:3.11-slim-bookworm  # Debian 12
    flows:
      new: {python: "3.13", aptPackages: [git]}
      own:
        base: registry.example.com:5000/cuda:12.4
"""
OLD, NEW = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"
IMAGE = ("config", "ephemeral-dask:image")


def image(text: str) -> Any:
    content = yaml.safe_load(text)["config"]["ephemeral-dask:image"]
    return Settings.model_validate({"image": content}, by_alias=True).image


def pinned(text: str, digest: str = NEW) -> str:
    return base_image.written(text, base_image.pins(image(text), lambda _: digest))


def test_each_base_image_gets_its_digest_and_every_other_word_stays() -> None:
    text = pinned(FILE)
    assert text == (
        FILE.replace("slim-bookworm  #", f"slim-bookworm@{NEW}  #")
        .replace("{python", f"{{base: python:3.13-slim-bookworm@{NEW}, python")
        .replace("cuda:12.4", f"cuda:12.4@{NEW}")
    )
    assert image(text).base == f"python:3.11-slim-bookworm@{NEW}"


def test_a_newer_digest_replaces_the_older_one_and_the_same_one_changes_nothing() -> None:
    older = pinned(FILE, OLD)
    assert OLD in older
    assert pinned(older) == pinned(FILE)
    assert pinned(pinned(FILE)) == pinned(FILE)


@pytest.mark.parametrize(
    "text",
    [
        "config:\n  ephemeral-dask:image:\n    registry: r\n    builder: docker\n",
        "config:\n  ephemeral-dask:image: {registry: r, builder: docker-build}\n",
        "config:\n    ephemeral-dask:image:\n        registry: r\n        builder: docker-build",
    ],
)
def test_a_stack_without_a_base_gets_the_default_one(text: str) -> None:
    after = yaml.safe_load(pinned(text))
    expected = yaml.safe_load(text)
    expected["config"]["ephemeral-dask:image"]["base"] = f"python:3.11-slim-bookworm@{NEW}"
    assert after == expected


def test_an_image_with_a_digest_and_no_tag_is_refused_because_nothing_newer_can_be_asked_for() -> None:
    text = f"config:\n  ephemeral-dask:image:\n    registry: r\n    builder: docker\n    base: python@{OLD}\n"
    with pytest.raises(Problem, match="has no tag"):
        pinned(text)


def test_prebuilt_images_are_pinned_elsewhere() -> None:
    text = f"config:\n  ephemeral-dask:image: {{builder: prebuilt, flow: 'r/f@{OLD}', platform: 'r/p@{OLD}'}}\n"
    with pytest.raises(Problem, match=r"image\.builder is prebuilt"):
        pinned(text)


def test_a_file_without_a_place_for_the_digest_is_a_problem_with_the_line_to_write() -> None:
    with pytest.raises(Problem) as caught:
        base_image.written("config: {}\n", {(*IMAGE, "base"): f"python:3@{NEW}"})
    assert f"Write it: python:3@{NEW}" in caught.value.remedy


@pytest.mark.parametrize(
    ("reference", "repository"),
    [
        ("python:3.11", "registry-1.docker.io/library/python"),
        ("acme/python:3.11", "registry-1.docker.io/acme/python"),
        ("docker.io/acme/python:3.11", "registry-1.docker.io/acme/python"),
        ("localhost:5001/python:3.11", "localhost:5001/python"),
        ("registry.example.com/a/b:3.11", "registry.example.com/a/b"),
    ],
)
def test_an_image_without_a_host_is_on_docker_hub(
    reference: str, repository: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "digest", lambda *asked: asked)
    assert base_image.digest(reference) == (repository, "3.11")
