from __future__ import annotations

import os
from pathlib import Path

from tests.support.terminal import typed

ASK = "import getpass; print('got', len(getpass.getpass('password: ')))"


def test_a_password_is_asked_for_at_the_terminal_and_not_shown(tmp_path: Path) -> None:
    script = f'python3 -c "{ASK}" < /dev/null; python3 -c "{ASK}"'
    done = typed(script, [("password: ", "first"), ("password: ", "second")], folder=tmp_path, environment=os.environ)
    assert done.status == 0, done.screen
    assert done.screen.split() == ["password:", "got", "5", "password:", "got", "6"]


def test_a_question_that_does_not_come_and_a_script_that_fails_are_seen(tmp_path: Path) -> None:
    assert typed("true", [("password: ", "x")], folder=tmp_path, environment=os.environ).status == 1
    assert typed("false; true", [], folder=tmp_path, environment=os.environ).status == 1


def test_a_script_that_never_ends_is_ended(tmp_path: Path) -> None:
    assert typed("read never", [], folder=tmp_path, environment=os.environ, seconds=1).status != 0
