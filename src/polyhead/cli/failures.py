"""What a failure looks like from outside: one line on stderr, an exit code, and for our own faults the path of a trace file."""

import errno
import os
import re
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

import typer

from polyhead.cli.exit_codes import BAD_INPUT, DONE, INTERNAL_ERROR, STOPPED
from polyhead.core.errors import FileFaultsError, PolyheadError
from polyhead.core.escaping import terminal_text
from polyhead.core.values import counted

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your disk quota is used up",
    errno.EFBIG: "the file would be larger than the limit for files (ulimit -f)",
}


def guarded(work: Callable[[], int]) -> int:
    """Call `work` and return its exit code, or the code of the failure it ended with, said in one line on stderr.

    SIGTERM is treated as Ctrl-C. The work's own `finally` and `except` blocks save what they can, and note it on the interrupt.
    """
    signals: list[int] = []

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        signals.append(number)
        raise KeyboardInterrupt

    with _on_interrupt(stop):
        try:
            if sys.stdout is None:
                raise PolyheadError("stdout is closed; redirect it, for example > out.txt")
            code = work()
            sys.stdout.flush()
            return code
        except BaseException as error:
            # an extension module that is being imported turns the interrupt into an error of its own
            return _ended(KeyboardInterrupt() if signals and not isinstance(error, KeyboardInterrupt) else error)


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Inside, Ctrl-C and SIGTERM end the process with one line: for imports, which extension modules do not let interrupt."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        os.write(2, b"polyhead: interrupted\n")
        os._exit(STOPPED)

    with _on_interrupt(leave):
        yield


@contextmanager
def _on_interrupt(handler: Callable[[int, FrameType | None], NoReturn]) -> Iterator[None]:
    """Inside, `handler` answers SIGTERM and Ctrl-C, unless the process ignores them, as a job in the background does."""
    previous = {}
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        watched = [number for number in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(number) is not signal.SIG_IGN]
        previous = {number: signal.signal(number, handler) for number in watched}
    try:
        yield
    finally:
        for number, before in previous.items():
            signal.signal(number, signal.SIG_DFL if before is None else before)


def _ended(error: BaseException) -> int:
    """The exit code of work that ended with this error, after saying so."""
    match error:
        case FileFaultsError():
            return _say_each(str(error).splitlines(), BAD_INPUT)
        case PolyheadError():
            return _say(f"error: {error}", BAD_INPUT)
        case typer.Exit():
            return error.exit_code
        case typer.TyperException():
            return _say(f"error: {_usage(error)}", BAD_INPUT)
        case KeyboardInterrupt() | typer.Abort():
            return _say("; ".join(("interrupted", *getattr(error, "__notes__", ()))), STOPPED)
        case SystemExit():  # rich raises it when the reader has closed the pipe
            return DONE
        case BrokenPipeError():
            # The reader closed the pipe; the interpreter's flush at exit must not fail on it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return DONE
    said = _of_the_disk(error) or _of_memory(error)
    return _say(f"error: {said}", BAD_INPUT) if said else _internal(error)


def _of_the_disk(error: BaseException) -> str:
    """What to say of an input or output error; empty for any other error."""
    if not isinstance(error, OSError) or error.errno is None:
        return ""
    where = "the output" if error.filename is None else os.fsdecode(error.filename)
    if error.errno in _FULL:
        return f"{where}: cannot be written: {_FULL[error.errno]}; free some space, or choose another place"
    return f"{where}: {os.strerror(error.errno)}; check the path, its permissions and the disk"


def _of_memory(error: BaseException) -> str:
    """What to say when memory runs out, of the machine or of the accelerator; empty for any other error."""
    asked = re.search(r"DefaultCPUAllocator|std::bad_alloc|[Oo]ut of memory|[Cc]annot allocate memory", str(error))
    if not isinstance(error, MemoryError) and not (isinstance(error, RuntimeError) and asked):
        return ""
    first = str(error).strip().partition("\n")[0][:200] or "no details"
    return f"memory ran out ({first}); use smaller batches (--batch-size), fewer sentences, or a machine with more memory"


def _usage(error: typer.TyperException) -> str:
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message}; see {context.command_path} --help" if context else message


def _internal(error: BaseException) -> int:
    handle, path = tempfile.mkstemp(prefix="polyhead-", suffix=".trace.txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"arguments: {sys.argv[1:]}\n\n")
        file.write("".join(traceback.format_exception(error)))
    return _say(f"internal error: {type(error).__name__}: {error} (trace: {path}); please report it", INTERNAL_ERROR)


def _say_each(lines: Sequence[str], code: int) -> int:
    """As `_say` for one line; several stand under their number, so that an editor finds file and line at the start of each."""
    if len(lines) == 1:
        return _say(f"error: {lines[0]}", code)
    _say(f"error: {counted(len(lines), 'fault')}:", code)
    with suppress(OSError):
        print(terminal_text("\n".join(lines), breaks=True), file=sys.stderr, flush=True)
    return code


def _say(text: str, code: int) -> int:
    with suppress(OSError):
        print("polyhead: " + terminal_text(" ".join(text.split())), file=sys.stderr, flush=True)
    return code
