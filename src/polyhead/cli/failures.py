"""What a failure looks like from outside: one line on stderr, an exit code, and for our own faults the path of a trace file."""

import difflib
import errno
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import NoReturn

import typer

from polyhead.core.errors import PolyheadError, UnknownNameError
from polyhead.core.escaping import terminal_text

DONE, CHECK_FAILED, BAD_INPUT, INTERNAL_ERROR, STOPPED = 0, 1, 2, 3, 130

# What a user's path or disk can cause; any other OSError is ours.
_USER_ERRNOS = frozenset(
    (
        errno.EACCES,
        errno.EPERM,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.EISDIR,
        errno.EEXIST,
        errno.EROFS,
        errno.ENOSPC,
        errno.EDQUOT,
        errno.ENAMETOOLONG,
    )
)


def guarded(work: Callable[[], int], *, stopped: str = "") -> int:
    """Call `work` and return its exit code, or the code of the failure it ended with, said in one line on stderr.

    `stopped` says what of the work is kept when the user stops it. SIGTERM is treated as Ctrl-C: the work's own `finally` and
    `except` blocks save what they save.
    """
    previous = _on_sigterm(_stop)
    try:
        if sys.stdout is None:
            raise PolyheadError("stdout is closed; give it a place, for example > out.txt")
        code = work()
        sys.stdout.flush()
        return code
    except PolyheadError as error:
        return _say(f"error: {error}", BAD_INPUT)
    except typer.Exit as stop:
        return stop.exit_code
    except typer.TyperException as error:
        return _say(f"error: {_usage(error)}", BAD_INPUT)
    except (KeyboardInterrupt, typer.Abort):
        return _say("; ".join(part for part in ("stopped by the user", stopped) if part), STOPPED)
    except SystemExit:  # what rich makes of a reader that has gone
        return DONE
    except BrokenPipeError:
        # The reader of our output has what it wanted; the interpreter's own flush at exit must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None:
            return _say(f"error: the output cannot be written: {error.strerror}; free some space", BAD_INPUT)
        if error.errno in _USER_ERRNOS and error.filename is not None:
            return _say(f"error: {error.filename}: {error.strerror}; check the path, its permissions and the disk", BAD_INPUT)
        return _internal(error)
    except Exception as error:
        return _internal(error)
    finally:
        _on_sigterm(previous)


def usage_error(problem: str, *, allowed: Sequence[str], said: str, see: str) -> NoReturn:
    """Raise the error for a name that is not among `allowed`, with the nearest one and where to read on."""
    near = difflib.get_close_matches(said, allowed, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(allowed)}"
    raise UnknownNameError(f"{problem}; {hint} See {see}" if near else f"{problem}; {hint}; see {see}")


def _usage(error: typer.TyperException) -> str:
    message = error.format_message().replace("Value error, ", "").rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message}; see {context.command_path} --help" if context else message


def _internal(error: BaseException) -> int:
    handle, path = tempfile.mkstemp(prefix="polyhead-", suffix=".trace.txt")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f"arguments: {sys.argv[1:]}\n\n")
        file.write("".join(traceback.format_exception(error)))
    return _say(
        f"internal error: {type(error).__name__}: {error} (trace: {path}); please report it with that file", INTERNAL_ERROR
    )


def _say(text: str, code: int) -> int:
    with suppress(OSError):
        print("polyhead: " + terminal_text(" ".join(text.split())), file=sys.stderr, flush=True)
    return code


def _stop(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _on_sigterm(handler: object) -> object:
    """Set the handler and return the one before; a thread other than the main one may not, and leaves it."""
    try:
        return signal.signal(signal.SIGTERM, handler)  # type: ignore[arg-type]
    except (ValueError, TypeError):
        return None
