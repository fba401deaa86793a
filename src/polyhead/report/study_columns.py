"""Columns that the tables of a study share: what a gain is held against, and the settings in which families differ."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from polyhead.core.values import counted, plain
from polyhead.data.corpus_table import CORPORA
from polyhead.report.language_facts import branch
from polyhead.report.printed_table import Column, Value
from polyhead.report.reading import short
from polyhead.report.statistic_rows import statistic_row
from polyhead.report.study_families import Family
from polyhead.report.study_record import StudyCellFacts
from polyhead.report.study_scores import Blank, StudyRow, StudyScores
from polyhead.report.study_view import View
from polyhead.report.tables import NONE_PRUNED, detectable, no_claim, title
from polyhead.selection.gains import corrected
from polyhead.selection.statistics import SEEDS_FOR_P

_NOT_A_VARIANT: Final = frozenset({"task", "model", "setting", "sources", "targets", "arm", "data"})

Row = dict[str, Value]
"""Values by column key."""


def gain_columns(*, group: str = "", key: str = "", scores: bool = True) -> list[Column]:
    """Columns that `gain_cells` fills; the detectable gain only beside gains that were not detected."""
    of_arm = [
        Column(f"{key}unpruned", "unpruned", "points", group),
        Column(f"{key}pruned", "pruned", "points", group),
        Column(f"{key}heads", "heads pruned", "text", group),
    ]
    return [
        *(of_arm if scores else []),
        Column(f"{key}gain", "gain" if scores else "difference", "gain", group),
        Column(f"{key}interval", "95 % interval", "interval", group),
        Column(f"{key}p_holm", "p (Holm)", "p", group),
        Column(f"{key}detectable", "detectable", "points", group),
        Column(f"{key}of_mask", "gain of the mask", "gain", group),
    ]


def gain_cells(row: StudyRow, *, key: str = "") -> Row:
    """The values of a gain's columns and, for tables of everything, of what else is known; `link` is its family's key."""
    found = statistic_row(row.gain, row.language)
    none = found.none_pruned
    return {
        "link": row.family.key,
        f"{key}unpruned": row.unpruned,
        f"{key}pruned": None if none else row.pruned,
        f"{key}heads": None if none else heads_pruned(row.heads, row.n_heads),
        f"{key}gain": NONE_PRUNED if none else found.gain,
        f"{key}standard_error": found.standard_error,
        f"{key}interval": None if none else no_claim(found.n_seeds) or found.interval,
        f"{key}p": found.p,
        f"{key}p_holm": found.p_holm,
        f"{key}detectable": detectable(found),
        f"{key}of_mask": None if found.of_mask is None else found.of_mask.gain,
        f"{key}of_mask_interval": None if found.of_mask is None else found.of_mask.interval,
        f"{key}noise": None if found.noise is None else found.noise.mean,
        f"{key}beyond": None if found.gain_minus_noise is None else found.gain_minus_noise.value,
        f"{key}beyond_interval": None if found.gain_minus_noise is None else found.gain_minus_noise.interval,
    }


def heads_pruned(ks: Sequence[int], n_heads: int) -> str | None:
    """The range of numbers of heads pruned, with their mean as a share of all heads; None without any.

    >>> heads_pruned([72, 60, 72], 144), heads_pruned([12, 12], 144), heads_pruned([], 144)
    ('60 to 72 (47 %)', '12 (8 %)', None)
    """
    if not ks:
        return None
    numbers = " to ".join(map(str, sorted({min(ks), max(ks)})))
    return f"{numbers} ({sum(ks) / len(ks) / n_heads:.0%})".replace("%", " %")


def one_family(rows: Sequence[StudyRow]) -> list[StudyRow]:
    """The rows of one printed table, with p corrected over it."""
    return [replace(row, gain=gain) for row, gain in zip(rows, corrected([row.gain for row in rows]), strict=True)]


def filled(columns: Iterable[Column], rows: Sequence[Row]) -> tuple[Column, ...]:
    """The columns that at least one row fills."""
    return tuple(column for column in columns if any(row.get(column.key) is not None for row in rows))


def variants(families: Sequence[Family], *, without: str = "") -> dict[str, str]:
    """By family, the settings in which these families differ beyond task, model, setting, source and the one left out.

    >>> variants([])
    {}
    """
    values = {family.key: _settings(family.facts) for family in families}
    names = dict.fromkeys(name for own in values.values() for name in own if name != without)
    differing = [name for name in names if len({repr(own.get(name)) for own in values.values()}) > 1]
    said = {key: [_said(name, own[name]) for name in differing if own.get(name) is not None] for key, own in values.items()}
    return {key: ", ".join(own) for key, own in said.items()}


def _settings(facts: StudyCellFacts) -> dict[str, object]:
    found: dict[str, object] = {}
    for name in sorted(StudyCellFacts.model_fields.keys() - _NOT_A_VARIANT):
        value = plain(getattr(facts, name))
        if isinstance(value, dict):
            found |= {inner if name == "search" else f"{name}.{inner}": own for inner, own in value.items() if inner != "seed"}
        else:
            found[name] = value
    if facts.setting in ("cross-lingual", "monolingual"):
        del found["combine"]  # of one source
    return found


def _said(name: str, value: object) -> str:
    if name in ("method", "how", "combine", "protocol", "rank_on"):
        return str(value)
    return f"{name} {value}"


def target_cell(row: StudyRow, several: bool = True) -> str:
    """A row's target, or what it is the mean over."""
    name = row.gain.name
    if name is None:
        return "mean over targets" if several else "mean"
    return short(name) if row.language != "mean" else f"mean, {name}"


def family_of(language: str) -> str:
    """The branch of a target's language family."""
    return "" if language == "mean" else branch(language)


def model_name(model: str) -> str:
    """A model without the owner of a hub id or the folders of a path."""
    return model.rstrip("/").rpartition("/")[2]


def notes(scores: StudyScores, rows: Sequence[StudyRow], view: View) -> list[str]:
    """What a reader of a table of gains must know."""
    tasks = dict.fromkeys(row.family.facts.task for row in rows) or scores.metric
    metrics = ", ".join(dict.fromkeys(title(scores.metric[task]) for task in tasks))
    said = [" ".join(_of_gains(rows, metrics))]
    if any(row.family.key in scores.chosen_on_test for row in rows):
        said.append(
            "k is the best of 1..K on the tested split by the metric shown where the protocol is the paper's: no interval, no p."
        )
    if view.chooses:
        rule = f"k = {view.k}" if view.k is not None else f"the rule {view.objective} on dev"
        said.append(f"Heads pruned by {rule}, not as the study chose them; scores are those that its cells have kept.")
    if view.without:
        said.append(f"Left out: {', '.join(sorted(view.without))}.")
    if scores.blanks:
        said.append(blank_note(scores.blanks))
    if made := sorted({name for row in rows for name in (*row.family.facts.sources, *row.family.facts.targets) if is_made(name)}):
        said.append(f"The text of {', '.join(made)} is generated from templates: its figures say nothing about a language.")
    return said


def _of_gains(rows: Sequence[StudyRow], metrics: str) -> Iterator[str]:
    """What the columns of gains hold, for those that these rows fill."""
    found = [statistic_row(row.gain, row.language) for row in rows]
    shown = [one for one in found if not one.none_pruned]
    yield f"Points of {metrics} on whole test sets, means over {_seeds(rows)}; gain: pruned minus unpruned, by seed."
    if any(one.interval is not None and not no_claim(one.n_seeds) for one in shown):
        yield "Interval: 95 %, over fine-tunings and sentences (Student's t, Satterthwaite)."
    if tests := sum(one.p is not None for one in found):
        yield f"Holm's family is this table ({counted(tests, 'test')})."
    elif any(one.n_seeds < SEEDS_FOR_P for one in shown):
        yield "No p below five seeds."
    if any(detectable(one) is not None for one in found):
        yield "Detectable: the smallest gain that these seeds would have found with power 0.8, where none was found."


def row_families(rows: Iterable[StudyRow]) -> list[Family]:
    """The families of these rows, each once."""
    return list({row.family.key: row.family for row in rows}.values())


def is_made(name: str) -> bool:
    """Whether polyhead generates the text of this corpus."""
    return name in CORPORA and bool(CORPORA[name].made)


def _seeds(rows: Sequence[StudyRow]) -> str:
    numbers = sorted({len(row.gain.seeds) for row in rows}) or [0]
    return counted(numbers[0], "seed") if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]} seeds"


def blank_note(blanks: Sequence[Blank]) -> str:
    """Which scores are missing and how to get them."""
    by_k = Counter(k for k, _ in {(one.k, one.cell.name) for one in blanks})
    which = ", ".join(f"k = {k}: {counted(n, 'cell')}" for k, n in sorted(by_k.items()))
    cells = len({one.cell.name for one in blanks})
    return (
        f"Blank: {counted(len(blanks), 'test score')} of {counted(cells, 'cell')} that no cell has kept ({which}); study run "
        "with --test-every-k keeps them."
    )
