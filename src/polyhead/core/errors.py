"""The errors that users meet: each message is one line that says what was found, what was allowed and what to do next."""

import difflib
from collections.abc import Iterable


class PolyheadError(Exception):
    """Base of every error that bad input can cause; the command line prints it as one line and exits with code 2.

    >>> from polyhead.data.tasks import task
    >>> try:
    ...     task("pso")
    ... except PolyheadError as error:
    ...     print(error)
    task 'pso': did you mean 'pos'? Expected one of pos, ner, slots
    """


class DataFormatError(PolyheadError):
    """A data file cannot be read as declared; the message begins with `path:line:`."""


class DownloadError(PolyheadError):
    """A file cannot be fetched from its home, or what came is not what is published there."""


class UnknownNameError(PolyheadError):
    """A task, corpus, method, protocol or language name that no table holds."""


class SettingError(PolyheadError):
    """A setting has a value that is not allowed, or two settings exclude each other."""


class ArchitectureError(PolyheadError):
    """The model is of a kind, or in a state, in which its heads cannot be found, gated or cut."""


class CheckpointError(PolyheadError):
    """A checkpoint or its pruning record is missing, corrupt or foreign."""


class StoreError(PolyheadError):
    """A run folder cannot be read or written, or holds the results of other settings."""


def allowed_names(said: str, allowed: Iterable[str]) -> str:
    """What to say of a name that is not among those allowed: the nearest of them where one is near, and all of them.

    >>> allowed_names("gradeint", ["gradient", "fisher"])
    "did you mean 'gradient'? Expected one of gradient, fisher"
    >>> allowed_names("?", ["gradient", "fisher"])
    'expected one of gradient, fisher'
    """
    names = list(allowed)
    near = difflib.get_close_matches(said, names, n=1)
    listed = f"one of {', '.join(names)}"
    return f"did you mean {near[0]!r}? Expected {listed}" if near else f"expected {listed}"
