"""Whether another process of this host has ended: only said when it is certain."""

import subprocess
import sys
import time

import pytest

from polyhead.core.processes import has_ended, this_process

ME = this_process()
pytestmark = pytest.mark.skipif(not ME, reason="this system gives processes no identity")
WHERE, PID, STARTED = ME.split()
PRINT = "from polyhead.core.processes import this_process; print(this_process(), flush=True); input()"


def test_a_process_that_runs_or_runs_elsewhere_has_not_ended() -> None:
    assert not has_ended(ME)
    for identity in ("", "x", WHERE, f"{WHERE} 12x 3", f"{WHERE} -1 3", "other/boot/namespace 999999999 1"):
        assert not has_ended(identity)


def test_a_later_process_of_the_same_number_is_not_taken_for_it() -> None:
    assert has_ended(f"{WHERE} {PID} {int(STARTED) - 1}")


def test_a_killed_process_has_ended_also_before_its_parent_waits_for_it() -> None:
    child = subprocess.Popen([sys.executable, "-c", PRINT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    assert child.stdout is not None
    identity = child.stdout.readline().strip()
    assert identity.split()[1] == str(child.pid)
    assert not has_ended(identity)
    child.kill()
    child.stdout.read()  # ends when the process has
    try:
        assert _soon(identity)
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait()
    assert has_ended(identity)


def _soon(identity: str) -> bool:
    """Whether the process is found dead within a few seconds."""
    return any(has_ended(identity) or time.sleep(0.05) for _ in range(100))
