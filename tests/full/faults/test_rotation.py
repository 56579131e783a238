"""What happens on the real cluster when the password of the stack's own Prefect server changes while a run is live."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
import yaml

from tests.e2e.clones import clone
from tests.e2e.newcomer import Newcomer
from tests.e2e.runs import ended, logged, running, state

DEADLINE = 30
"""Seconds for which the update waits for live runs."""


@dataclass
class Rotation:
    """A user whose server asks for the first password."""

    user: Newcomer
    first: str = field(default_factory=lambda: f"admin:{secrets.token_hex(8)}", repr=False)
    second: str = field(default_factory=lambda: f"admin:{secrets.token_hex(8)}", repr=False)

    def configure(self, password: str) -> None:
        """Set the password in the stack file."""
        command = 'printf %s "$PASSWORD" | pulumi config set --secret prefectAuthString'
        done = self.user.shell(command, PASSWORD=password)
        assert done.status == 0, done.progress

    def version(self) -> str:
        """Return the version of the Secret with the password."""
        return self.user.kubectl("get", "secret", "prefect-api", "-o", "jsonpath={.metadata.resourceVersion}")


@pytest.fixture
def rotation(newcomer: Newcomer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rotation]:
    """Set the first password for the stack that is up, in a clone of its own, and remove it in the end."""
    user = replace(newcomer, clone=clone(tmp_path_factory.mktemp("rotation") / "clone", newcomer.clone))
    stack = user.clone / "Pulumi.dev.yaml"
    content = yaml.safe_load(stack.read_text())
    del content["config"]["ephemeral-dask:prefect"]["auth"]
    content["config"]["ephemeral-dask:drain"] = {"deadline": DEADLINE}
    stack.write_text(yaml.safe_dump(content, sort_keys=False))
    one = Rotation(user)
    one.configure(one.first)
    done = user.make("up")
    assert done.status == 0, done.output + done.progress
    yield one
    # For the local cluster Pulumi's file is a copy of the stack file, which other clones share.
    done = user.shell("pulumi config rm prefectAuthString")
    assert done.status == 0, done.progress
    done = newcomer.make("up")
    assert done.status == 0, done.output + done.progress


def test_a_new_password_waits_for_a_live_run_which_goes_on_and_is_set_once_no_run_is_live(rotation: Rotation) -> None:
    user = rotation.user
    run = running(user, "patient/one", "--param", "seconds=240")
    before = rotation.version()
    rotation.configure(rotation.second)
    done = user.make("up")
    assert done.status != 0
    assert "prefectAuthString was not changed: 1 flow run(s) are live" in " ".join(
        (done.output + done.progress).split()
    )
    assert rotation.version() == before, "the Secret has changed"
    # This machine's requests take the password of the stack file, and the server's is still the first one.
    rotation.configure(rotation.first)
    assert state(user, run)[0] == "RUNNING"
    assert ended(user, run, seconds=300)[0] == "COMPLETED", logged(user, run)
    rotation.configure(rotation.second)
    done = user.make("up")
    assert done.status == 0, done.output + done.progress
    assert rotation.version() != before
    following = user.start("steps/default", "--param", "count=4", "--param", "seconds=1")
    assert ended(user, following, seconds=240)[0] == "COMPLETED", logged(user, following)
