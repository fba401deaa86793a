"""Checks, before any work is done, of the files and folders that results go to. Needs no torch."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryFile

from polyhead.core.errors import DataFormatError, SettingError
from polyhead.data.textfile import SUFFIXES as COMPRESSED
from polyhead.selection.score_files import read_scores

SCORES = (".tsv", ".json")
"""How the name of a score file may end."""


def check_file(option: str, path: Path, *, suffixes: tuple[str, ...] = (), others: Iterable[Path] = ()) -> None:
    """Refuse a path that cannot become a file. Missing folders are no obstacle, nor are pipes and devices.

    Args:
        option: The option that gave the path.
        path: The file, which need not exist.
        suffixes: How its name may end; empty allows any.
        others: Files that the command reads or writes beside it.

    Raises:
        SettingError: The name ends otherwise, it is a folder or one of the others, or nothing can be written there.
    """
    if suffixes and path.suffix not in suffixes:
        raise SettingError(f"{option} {path}: expected a name that ends in {' or '.join(suffixes)}")
    if path.suffix in COMPRESSED:
        raise SettingError(f"{option} {path}: is written uncompressed; leave {path.suffix} out of the name")
    if path.is_dir():
        raise SettingError(f"{option} {path}: is a folder; name a file")
    if any(path.resolve() == other.resolve() for other in others):
        raise SettingError(f"{option} {path}: is also an input or another output and would be overwritten; name another file")
    if path.is_file() or not path.exists():
        _check_writable(option, path, path.resolve().parent, "file")


def check_folder(option: str, path: Path, *, new: bool = False) -> None:
    """Refuse a path that cannot become a folder, or with `new` one that holds something.

    Raises:
        SettingError: It or a folder above it is a file, nothing can be written there, or it is not empty.
    """
    if new and path.is_dir() and any(path.iterdir()):
        raise SettingError(f"{option} {path}: is not empty; name a new folder, or delete this one")
    _check_writable(option, path, path.resolve(), "folder")


def partial_of(out: Path, ending: str = ".partial") -> Path:
    """The file beside a result that holds its unfinished work.

    >>> partial_of(Path("runs/fast")).as_posix()
    'runs/fast.partial'
    """
    named = out if out.name not in ("", "..") else out.resolve()  # `.` and `..` have no name to add to
    return named.with_name(f"{named.name}{ending}")


def _check_writable(option: str, path: Path, folder: Path, what: str) -> None:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    if not there.is_dir():
        raise SettingError(f"{option} {path}: {there} is a file, not a folder; name another {what}")
    try:
        with TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise SettingError(f"{option} {path}: cannot write in {there} ({error.strerror}); name another {what}") from None


def check_replaced(option: str, path: Path, *, settings: Mapping[str, object], facts: Mapping[str, object]) -> None:
    """Refuse to write scores over a file that holds anything but earlier scores of the same kind.

    Args:
        option: The option that gave the path.
        path: File for the scores; need not exist.
        settings: Settings that must be equal where the file records them.
        facts: Attributes of `HeadScores` that must be equal, by name.

    Raises:
        SettingError: The file holds something else.
    """
    if not path.exists():
        return
    try:
        held = read_scores(path)
    except DataFormatError:
        raise SettingError(f"{option} {path}: is not a score file; name another file") from None
    known = {name: (getattr(held, name), wanted) for name, wanted in facts.items()}
    known |= {name: (held.settings[name], wanted) for name, wanted in settings.items() if name in held.settings}
    for name, (found, wanted) in known.items():
        if found != wanted:
            what = name.replace("data_hash", "text's sha256").replace("_", " ")
            differs = f"holds scores whose {what} is {_shown(found)}, not {_shown(wanted)}"
            raise SettingError(f"{option} {path}: {differs}; name another file, or delete this one")


def _shown(value: object) -> str:
    said = " ".join(map(str, value)) if isinstance(value, tuple) else "none" if value is None else str(value)
    return said[:60] or "not said"
