"""Checks of the file that scores go to, before any work is done. Needs no torch."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryFile

from polyhead.core.errors import DataFormatError, SettingError
from polyhead.selection.score_files import read_scores


def check_score_file(option: str, path: Path, *, inputs: Iterable[Path] = ()) -> None:
    """Refuse a name without a score file's suffix, a folder, and a file that the command reads.

    Raises:
        SettingError: One of these, or the file cannot be written.
    """
    if path.suffix not in (".tsv", ".json"):
        raise SettingError(f"{option} {path}: expected a name that ends in .tsv or .json")
    if path.is_dir():
        raise SettingError(f"{option} {path}: is a folder; name a file")
    if any(path.resolve() == other.resolve() for other in inputs):
        raise SettingError(f"{option} {path}: is also an input and would be overwritten; name another file")
    _check_writable(option, path)


def check_replaced(option: str, path: Path, *, settings: Mapping[str, object], **facts: object) -> None:
    """Refuse to write scores over a file that holds anything but earlier scores of the same method, model, text and settings.

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
            raise SettingError(
                f"{option} {path}: holds scores whose {what} is {_shown(found)}, not {_shown(wanted)}; name another file, or "
                "delete this one"
            )


def _check_writable(option: str, path: Path) -> None:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise SettingError(f"{option} {path}: cannot write in {folder} ({error.strerror}); name another folder") from None


def _shown(value: object) -> str:
    said = " ".join(map(str, value)) if isinstance(value, tuple) else "none" if value is None else str(value)
    return said[:60] or "not said"
