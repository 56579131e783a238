"""Types a command of the documentation as it is written there, and judges what it does."""

from __future__ import annotations

import re

from tests.e2e.newcomer import Done, Newcomer
from tests.ways import Test

RUN = "<run>"


def type_as_written(newcomer: Newcomer, command: str, test: Test, *, run: str = "") -> Done:
    """Type a command, which must succeed and print what its test says.

    Args:
        newcomer: who types it.
        command: the command as the page has it.
        test: how it is tested.
        run: name of the run that stands for `<run>`.

    """
    typed = command.replace(RUN, run)
    for shown, used in (test.instead or {}).items():
        typed = typed.replace(shown, used)
    environment = dict(test.environment or {})
    if test.serves:
        return newcomer.interrupt_once_it_answers(typed, test.serves)
    done = newcomer.type("\n".join(filter(None, (test.before, typed, test.then))), **environment)
    assert done.status == 0, done.progress
    assert re.search(test.prints, done.output + done.progress), f"{typed} does not print {test.prints!r}"
    return done
