"""The identity of a process on its host, by which other processes of that host see that it has ended."""

import os
import socket
from functools import cache
from pathlib import Path

_PROC = Path("/proc")


def this_process() -> str:
    """The identity of this process: host, boot, process namespace, number and start time; empty where Linux's /proc is missing.

    Boot and namespace keep another host or a container of this host apart, the start time a later process of the same number.
    """
    where, started = _where(), _started(os.getpid())
    return f"{where} {os.getpid()} {started}" if where and started else ""


def has_ended(identity: str) -> bool:
    """Whether that process has certainly ended; False if it runs, or if this process could not see it run."""
    where, _, process = identity.partition(" ")
    number, _, started = process.partition(" ")
    if not where or where != _where() or not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's process
        return False
    # A process that was killed but not yet waited for by its parent has no start time here.
    return (found := _started(int(number))) is not None and found != started


@cache
def _where() -> str:
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        namespace = os.readlink(_PROC / "self/ns/pid")
    except OSError:
        return ""
    return f"{socket.gethostname()}/{boot}/{namespace}".replace(" ", "_")


def _started(number: int) -> str | None:
    """Ticks from boot to its start; empty for one that is dead but still listed, None if that cannot be read."""
    try:
        text = (_PROC / str(number) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may hold spaces
    return "" if fields[0] in "ZX" else fields[19]
