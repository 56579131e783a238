"""What goes to the scheduler goes there by value, and works on a real one."""

from __future__ import annotations

import subprocess
import sys

import cloudpickle

from flows.runtime import scheduler_side


def test_the_scheduler_never_imports_this_package() -> None:
    script = (
        "import sys, pickle\n"
        "class Scheduler: idle_since = 5\n"
        "pickle.loads(sys.stdin.buffer.read())(Scheduler)\n"
        "print(Scheduler.idle_since, 'flows' in sys.modules)"
    )
    sent = cloudpickle.dumps(scheduler_side.stay)
    ran = subprocess.run([sys.executable, "-I", "-c", script], input=sent, capture_output=True, check=True)
    assert ran.stdout.split() == [b"None", b"False"]
