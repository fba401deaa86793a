"""A study file: TOML in, a validated specification out, and the cells that it expands to."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from polyhead.core.errors import FileFaultsError, allowed_names
from polyhead.core.settings_file import Many, Place, faults_of, parse_toml, path_in, settings, toml_text
from polyhead.core.toml_lines import Path as TomlPath
from polyhead.core.toml_lines import toml_lines
from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_expansion import cells_of
from polyhead.studies.study_faults import KEYS, grid_faults, unused
from polyhead.studies.study_grid import Grid


def _as_file_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ValueError("should be 1 to 64 ASCII letters, digits, '.', '_' or '-', the first a letter or a digit")
    return name


_OWN: Final = ("name", "data", "grid")


@settings
class StudyHead:
    """What a study has once, beside its grids."""

    name: Annotated[str, AfterValidator(_as_file_name), Field(description="Name of the study: letters, digits, . _ and -.")]
    data: Annotated[
        Place | None,
        Field(description="Folder of the corpora that are named like ud/en_ewt, seen from the file's folder; phrases need none."),
    ] = None


@settings
class StudySpec(StudyHead):
    """A study: its grids with all defaults filled in; made by `read_study` or `parse_study`.

    Raises:
        SettingError: A value is not allowed.
    """

    grids: Annotated[Many[Grid], Field(min_length=1)]
    folder: Place | None = None  # of the file; relative paths start from it


def read_study(path: str | Path) -> StudySpec:
    """The study in a file, whose folder relative paths in it start from; opens no corpus and no model.

    Raises:
        SettingError: The file cannot be read, or is not TOML.
        FileFaultsError: Anything in it is wrong: a line for each fault, with file, line, value and what is allowed.
    """
    path = Path(path).expanduser()
    return parse_study(toml_text(path), path, folder=str(path.absolute().parent))


def parse_study(text: str, path: str | Path, *, folder: str | None = None) -> StudySpec:
    """The study in a TOML text; `path` is what errors call it, and relative paths start from `folder`, else the current one.

    Raises:
        SettingError: It is not TOML.
        FileFaultsError: Anything in it is wrong.

    >>> text = '''
    ... name = "small"
    ... tasks = ["pos"]
    ... models = ["polyhead/tiny"]
    ... sources = ["phrases/en"]
    ... targets = ["phrases/de", "phrases/nl"]
    ... seeds = [1, 2]
    ... controls = ["random"]
    ... '''
    >>> study = parse_study(text, "small.toml")
    >>> [(cell.seed, cell.arm) for cell in expand_study(study)]
    [(1, 'ranked'), (1, 'random'), (2, 'ranked'), (2, 'random')]
    """
    values = parse_toml(text, path)
    defaults = {key: value for key, value in values.items() if key not in _OWN}
    tables = values.get("grid", [{}])
    head, found = faults_of(StudyHead, {key: values[key] for key in _OWN[:2] if key in values})
    faults: list[tuple[TomlPath, str]] = list(found)
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables) or not tables:
        raise file_faults(path, text, [*faults, (("grid",), "grid: should be one or more tables, each under its own [[grid]]")])
    grids: list[Grid | None] = []
    for key in sorted(defaults.keys() - KEYS):
        faults.append(((key,), f"{key}: unknown option; {allowed_names(key, [*_OWN, *sorted(KEYS - {'name'})])}"))
        del defaults[key]
    for place, own in enumerate(tables):
        if "data" in own:
            faults.append((("grid", place, "data"), "data: one folder serves all grids; write it above the first [[grid]]"))
            own = {key: value for key, value in own.items() if key != "data"}
        merged = _merged(defaults, own)
        made, wrong = grid_faults(merged, folder=folder)
        grids.append(made)
        faults += [(_where(fault.path, own, merged, place if "grid" in values else None), fault.said) for fault in wrong]
    if "grid" in values:  # a default that every grid overrides is still checked
        _, wrong = grid_faults(defaults, folder=folder, partial=True)
        faults += [(fault.path, fault.said) for fault in wrong]
    faults += unused(defaults, tables if "grid" in values else [], grids)
    faults += _named_twice(tables)
    if faults or head is None:
        raise file_faults(path, text, faults)
    data = head.data if head.data is None else str(path_in(folder, head.data))
    return StudySpec(name=head.name, data=data, folder=folder, grids=tuple(made for made in grids if made is not None))


def expand_study(study: StudySpec) -> tuple[StudyCell, ...]:
    """The cells of a study, grid by grid, each once; seeds and arms vary fastest.

    Opens nothing. A cell that two grids share is in the place of the first.
    """
    return tuple({cell.fingerprint: cell for _, cells in study_grids(study) for cell in cells}.values())


def study_grids(study: StudySpec) -> list[tuple[str, tuple[StudyCell, ...]]]:
    """Every grid's name, or `grid N` counted from 1, and its cells; grids may share cells."""
    return [
        (grid.name or f"grid {n}", tuple(cells_of(grid, study.data, study.folder))) for n, grid in enumerate(study.grids, start=1)
    ]


def _merged(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a grid over the study's; the tables `search` and `train` key by key."""
    found = {**defaults, **own}
    for table in ("search", "train"):
        parts = [part[table] for part in (defaults, own) if table in part]
        if len(parts) == 2 and all(isinstance(part, dict) for part in parts):
            found[table] = {**parts[0], **parts[1]}
    return found


def place_in_file(text: str, grid: int, path: TomlPath) -> TomlPath:
    """The path in a study file without faults of what is at `path` in its grid number `grid`, from 0."""
    values = parse_toml(text, "")
    own = values["grid"][grid] if "grid" in values else {}
    return _where(path, own, _merged(values, own), grid if "grid" in values else None)


def _where(path: TomlPath, own: Mapping[str, Any], merged: Mapping[str, Any], grid: int | None) -> TomlPath:
    """The path in the file of what is at `path` in a grid: in its table, or among the defaults if the key is only there."""
    if grid is None:
        return path
    keys = [key for key in path[:2] if isinstance(key, str)]
    if _holds(own, keys):
        return ("grid", grid, *path)
    return path if keys and _holds(merged, keys) else ("grid", grid)


def _holds(table: Any, keys: Sequence[str]) -> bool:
    for key in keys:
        if not isinstance(table, Mapping) or key not in table:
            return False
        table = table[key]
    return True


def _named_twice(tables: list[dict[str, Any]]) -> Iterator[tuple[TomlPath, str]]:
    names = [table.get("name") for table in tables]
    for place, name in enumerate(names):
        if isinstance(name, str) and name in names[:place]:
            yield ("grid", place, "name"), f"name = {name!r}: another grid has this name; give each its own"


def file_faults(path: str | Path, text: str, faults: Iterable[tuple[TomlPath, str]]) -> FileFaultsError:
    """The error that names every fault of a study file once, in the order of the lines; each with its path in the file."""
    lines = toml_lines(text)

    def line(where: TomlPath) -> int:
        while where and where not in lines:
            where = where[:-1]
        return lines.get(where, 1)

    said = sorted({(line(where), re.sub(r"\s+", " ", what)) for where, what in faults})
    return FileFaultsError("\n".join(f"{path}:{number}: {what}" for number, what in said))
