"""Distances between languages and their families, from URIEL; `facts/` says how they were made and under which licence."""

from functools import cache
from importlib.resources import files
from typing import Final

DISTANCES: Final = ("featural", "syntactic", "phonological", "inventory", "genetic", "geographic")


def distance(one: str, other: str, kind: str = "featural") -> float | None:
    """Distance between two languages, 0 (equal) to 1; None if URIEL's table lacks one. Scripts and regions do not matter.

    Args:
        one: BCP-47 code.
        other: BCP-47 code.
        kind: One of `DISTANCES`.

    >>> distance("de", "nl", "genetic") < distance("de", "zh-Hans", "genetic")
    True
    """
    pair = sorted((_base(one), _base(other)))
    if pair[0] == pair[1]:
        return 0.0 if pair[0] in _families() else None
    found = _distances().get((pair[0], pair[1]))
    return None if found is None else found[kind]


def branch(language: str) -> str:
    """The branch of a language's family, such as Germanic; `other` if it is not in the table.

    >>> branch("nl"), branch("zh-Hant"), branch("xx")
    ('Germanic', 'Sinitic', 'other')
    """
    return _families().get(_base(language), "other")


def fact_rows(name: str) -> list[dict[str, str]]:
    """The rows of a table in `facts/`; lines that begin with # are about the table."""
    text = files("polyhead.report").joinpath("facts", *name.split("/")).read_text(encoding="utf-8")
    head, *body = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    return [dict(zip(head, row, strict=True)) for row in body]


def _base(language: str) -> str:
    return language.partition("-")[0]


@cache
def _distances() -> dict[tuple[str, str], dict[str, float]]:
    return {(row["a"], row["b"]): {kind: float(row[kind]) for kind in DISTANCES} for row in fact_rows("language_distances.tsv")}


@cache
def _families() -> dict[str, str]:
    return {row["language"]: row["branch"] for row in fact_rows("language_families.tsv")}
