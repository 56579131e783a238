"""docs/production.md and docs/upgrade-versions.md, typed in their order on a cluster that exists.

That is the local cluster, which the user knows by its kubeconfig alone. Pulumi's state is in a bucket, Prefect's
database in a PostgreSQL on this machine.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests import howtos
from tests.e2e import postgresql
from tests.e2e.clones import clone
from tests.e2e.newcomer import Done, Newcomer
from tests.e2e.prod import PROD, PROD_RUNS
from tests.full.shown_stack import merge
from tests.support import s3_server, terminal
from tests.support.terminal import ASKED_BY_PULUMI
from tools.paths import ROOT

PRODUCTION: Final = "docs/production.md"
STATE: Final = "company-pulumi-state"
"""The bucket that the page names."""
DATABASE: Final = "postgres.example.com"
PASSWORD: Final = "change-me"
"""Of Prefect's role in the database, on the page."""
OF_DEV: Final = ("PREFECT_", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE", "EPHEMERAL_DASK_STACK")
"""What the shell of `make env` has of stack dev alone."""
SMALL: Final = {"workerCpu": "100m", "workerMemory": "512Mi"}
"""The page says to change the sizes."""


@dataclass(frozen=True)
class Engineer:
    """A user with a cluster, a backend and a database.

    Attributes:
        user: who types.
        instead: what a page shows -> what they type in its place.
        answers: key of a secret -> its value, typed at a terminal.

    """

    user: Newcomer
    instead: Mapping[str, str]
    answers: Mapping[str, str]

    def types(self, block: str) -> Done:
        """Type a block of commands, which must succeed."""
        for shown, used in self.instead.items():
            block = block.replace(shown, used)
        done = self.user.type(block)
        assert done.status == 0, done.output + done.progress
        return done

    def answers_in(self, block: str) -> None:
        """Type a block of commands that ask for secrets, and answer."""
        keys = re.findall(r"config set --secret (\w+)", block)
        answers = [(ASKED_BY_PULUMI, self.answers[key]) for key in keys]
        done = terminal.typed(block, answers, folder=self.user.clone, environment=self.user.environment, seconds=300)
        assert done.status == 0, done.screen
        assert not [key for key in keys if self.answers[key] in done.screen]

    @property
    def stack_file(self) -> Path:
        return self.user.clone / "Pulumi.prod.yaml"


@pytest.fixture(scope="module")
def engineer(newcomer: Newcomer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engineer]:
    """Provide who follows the page; in the end, nothing of the stack is left."""
    folder = tmp_path_factory.mktemp("production")
    with s3_server.running() as s3, postgresql.running(newcomer.place) as database:
        s3.create(STATE)
        passwords = folder / "passwords"
        passwords.touch(mode=0o600)
        passwords.write_text(f"*:*:*:postgres:{database.password}\n*:*:*:prefect:{PASSWORD}\n")
        environment = {
            **{name: value for name, value in newcomer.variables().items() if not name.startswith(OF_DEV)},
            "PULUMI_CONFIG_PASSPHRASE": secrets.token_urlsafe(16),
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_REGION": "us-east-1",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
            "PGPASSFILE": str(passwords),
            "PULL_PASSWORD": "of-the-tests",
        }
        user = replace(newcomer, clone=clone(folder / "clone", newcomer.clone), environment=environment)
        address = f"{database.address}:{database.port}"
        yield Engineer(
            user,
            instead={
                f"s3://{STATE}": f"'s3://{STATE}?endpoint={s3.url}&use_path_style=true'",
                DATABASE: database.address,
            },
            answers={
                "prefectDatabaseUrl": f"postgresql+asyncpg://prefect:{PASSWORD}@{address}/prefect",
                "prefectAuthString": f"admin:{secrets.token_urlsafe(16)}",
                "prefectApiKey": secrets.token_urlsafe(16),
            },
        )
        gone = user.type(
            "pulumi state unprotect --all --yes --stack prod; pulumi destroy --yes --skip-preview --stack prod"
            " && pulumi stack rm --yes prod && pulumi logout"
        )
        newcomer.kubectl("delete", "namespace", PROD, PROD_RUNS, "--ignore-not-found")
        assert gone.status == 0, gone.output + gone.progress


def write_stack_file(engineer: Engineer, newcomer: Newcomer) -> None:
    """Edit the stack file as the page says, with the registry and the builder of the local cluster."""
    content = yaml.safe_load(engineer.stack_file.read_text())
    config = content["config"]
    merge(config, yaml.safe_load(howtos.fenced((ROOT / PRODUCTION).read_text(), "yaml")[0])["config"])
    local = yaml.safe_load((newcomer.place.root.with_name("stacks") / "Pulumi.dev.yaml").read_text())["config"]
    images: dict[str, Any] = local["ephemeral-dask:image"]
    config["ephemeral-dask:image"] |= images
    config["ephemeral-dask:network"] = local["ephemeral-dask:network"]
    config["ephemeral-dask:dask"] |= SMALL
    engineer.stack_file.write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.fixture(scope="module")
def deployed(engineer: Engineer, newcomer: Newcomer) -> Done:
    """Follow the page from its first block to the one that verifies the stack, and return what that did."""
    backend, _, pull, database, secret, deploy, _ = howtos.blocks(PRODUCTION)
    engineer.types(backend)
    write_stack_file(engineer, newcomer)
    engineer.types(pull)
    engineer.types(database)
    engineer.answers_in(secret)
    return engineer.types(deploy)


def test_a_stack_is_up_and_verified_after_the_commands_in_their_order(deployed: Done) -> None:
    assert "stack prod is up" in deployed.progress
    assert "stack prod works" in deployed.progress


@pytest.mark.usefixtures("deployed")
def test_a_secret_that_a_page_sets_is_stored_encrypted(engineer: Engineer) -> None:
    before = engineer.stack_file.read_text()
    netrc = f"machine packages.example.com login builder password {secrets.token_urlsafe(16)}"
    (engineer.user.clone / "netrc.txt").write_text(netrc)
    values = {"netrc": netrc, "prefectApiKey": engineer.answers["prefectApiKey"]}
    for block in (*howtos.blocks(PRODUCTION), *howtos.blocks("docs/operate.md")):
        if "prefectApiKey" in block:
            engineer.answers_in(block)
        elif "netrc" in block:
            engineer.types(block)
        else:
            continue
        [key] = re.findall(r"--secret (\w+)", block)
        assert values[key] not in engineer.stack_file.read_text()
        assert engineer.types(f"pulumi config get {key} --stack prod").output.strip() == values[key]
        engineer.stack_file.write_text(before)


@pytest.mark.usefixtures("deployed")
def test_a_database_goes_back_to_its_dump(engineer: Engineer) -> None:
    ask = f"psql --host {DATABASE} --username prefect --dbname prefect --tuples-only --command"

    def runs() -> int:
        return int(engineer.types(f"{ask} 'SELECT count(*) FROM flow_run'").output)

    [dump, back] = [each for each in howtos.blocks("docs/upgrade-versions.md") if "prefect.dump" in each]
    engineer.types(dump)
    before = runs()
    assert before >= 1
    engineer.types(f"{ask} 'TRUNCATE flow_run CASCADE'")
    assert runs() == 0
    engineer.types(back)
    assert runs() == before
    assert "stack prod works" in engineer.types("make verify STACK=prod CLUSTER=existing").progress
