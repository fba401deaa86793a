"""A small study file, and its parts, for tests."""

from collections.abc import Mapping

from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_file import expand_study, parse_study

KEYS: Mapping[str, str] = {
    "name": '"small"',
    "tasks": '["pos"]',
    "models": '["polyhead/tiny"]',
    "sources": '["phrases/en"]',
    "targets": '["phrases/de", "phrases/nl"]',
    "seeds": "[1, 2]",
}


def study_text(*, without: str = "", tables: str = "", **keys: str) -> str:
    """The text of a study file: `KEYS`, replaced by and with more `keys`, then `tables`."""
    found = {**KEYS, **keys}
    return "".join(f"{key} = {value}\n" for key, value in found.items() if key != without) + tables


def cells(*, tables: str = "", **keys: str) -> tuple[StudyCell, ...]:
    """The cells of such a study."""
    return expand_study(parse_study(study_text(tables=tables, **keys), "small.toml"))
