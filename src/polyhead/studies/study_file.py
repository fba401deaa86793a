"""A study file: TOML in, a validated specification out, and the cells that it expands to."""

from dataclasses import dataclass
from pathlib import Path

from polyhead.studies.study_cells import StudyCell


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """A study."""

    name: str
    data: str | None
    text: str


def read_study(path: str | Path) -> StudySpec:
    """The study in a file."""
    raise NotImplementedError


def expand_study(spec: StudySpec) -> tuple[StudyCell, ...]:
    """The cells of a study, each once."""
    raise NotImplementedError
