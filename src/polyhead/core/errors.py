"""The errors that users see, each one line that says what was found, what is allowed and what to do next; and signals of work.

The signals (`Busy`, `LeaseLost`, `Missing`) are no errors: the loops that start work answer them.
"""

import difflib
from collections.abc import Iterable
from pathlib import Path
from textwrap import shorten


class PolyheadError(Exception):
    """Base class of every error caused by bad input; the command line prints it as one line and exits with code 2.

    >>> from polyhead.data.tasks import task
    >>> try:
    ...     task("pso")
    ... except PolyheadError as error:
    ...     print(error)
    task 'pso': did you mean 'pos'? Expected one of pos, ner, slots, nli, classification, mlm
    """


class DataFormatError(PolyheadError):
    """A data file cannot be read as declared; the message begins with `path:line:`."""


class DownloadError(PolyheadError):
    """A file cannot be fetched from its source, or differs from the published one."""


class UnknownNameError(PolyheadError):
    """A task, corpus, method, protocol or language has no such name."""


class SettingError(PolyheadError):
    """A setting has a value that is not allowed, or two settings exclude each other."""


class FileFaultsError(PolyheadError):
    """Everything that is wrong with a file of settings, a line for each fault; each begins with `path:line:`."""


class ArchitectureError(PolyheadError):
    """The heads of this model, or of a model in this state, cannot be found, gated or pruned."""


class CheckpointError(PolyheadError):
    """A checkpoint or its pruning record is missing, corrupt or not written by polyhead."""


class StoreError(PolyheadError):
    """A run folder cannot be read or written, or holds the results of other settings."""


class WriteError(StoreError):
    """A file cannot be written: the disk is full, the folder is read-only, or the user may not write there."""


class Busy(Exception):
    """Another worker holds a stage that is needed; try again later.

    Attributes:
        stage: The stage.
    """

    def __init__(self, stage: str, why: str = "another worker holds it") -> None:
        super().__init__(f"{stage}: {why}")
        self.stage = stage


class LeaseLost(Busy):
    """This worker held the stage, and another took it over: what was made under the lost lease must not be recorded."""


class Missing(Exception):
    """Stages that are needed have not been done, and this process is not to do them.

    Attributes:
        stages: The stages; none waits for another of them.
    """

    def __init__(self, *stages: str) -> None:
        super().__init__(f"{', '.join(stages)}: not done yet")
        self.stages = stages


def note_kept(stop: BaseException, where: Path) -> None:
    """Add to an interrupt that unfinished work is kept, unless it says so; the command line prints such notes."""
    if isinstance(stop, KeyboardInterrupt) and not hasattr(stop, "__notes__"):
        stop.add_note(f"unfinished work is kept in {where}: start it again to continue")


def one_line(error: Exception) -> str:
    """Type and text of another library's error, shortened to one line.

    >>> one_line(ValueError("no\\n  such thing"))
    'ValueError: no such thing'
    """
    return f"{type(error).__name__}: {shorten(str(error), 300, placeholder=' ...')}".removesuffix(": ")


def allowed_names(said: str, allowed: Iterable[str]) -> str:
    """The hint for an unknown name: the closest allowed name, if one is close, and all allowed names.

    >>> allowed_names("gradeint", ["gradient", "fisher"])
    "did you mean 'gradient'? Expected one of gradient, fisher"
    >>> allowed_names("?", ["gradient", "fisher"])
    'expected one of gradient, fisher'
    """
    names = list(allowed)
    near = difflib.get_close_matches(said, names, n=1)
    listed = f"one of {', '.join(names)}"
    return f"did you mean {near[0]!r}? Expected {listed}" if near else f"expected {listed}"
