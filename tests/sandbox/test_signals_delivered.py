"""Whether the kernel delivers a signal to the first process of a container."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from polyarch.sandbox import signals

_BLOCKED = "import signal, time; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); print(flush=True)\n"


@pytest.mark.parametrize(
    ("program", "delivered"),
    [
        ("import signal, time; signal.signal(signal.SIGTERM, print); print(flush=True); time.sleep(60)", True),
        (f"{_BLOCKED}time.sleep(60)", True),
        (f"{_BLOCKED}signal.sigwait([signal.SIGTERM])", True),
        ("import time; print(flush=True); time.sleep(60)", False),
    ],
    ids=["handled", "blocked", "waited for", "neither"],
)
def test_a_signal_that_is_handled_or_waited_for_is_delivered(program: str, delivered: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        deadline = time.monotonic() + 10
        while "sleep" not in (where := Path(f"/proc/{process.pid}/wchan").read_text()) and "wait" not in where:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert signals.deliver(process.pid, signal.SIGTERM) == delivered
        process.kill()
