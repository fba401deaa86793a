"""The tables of a study: everything in one long table, or laid out as in Ma et al. 2021."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

from polyhead.core.errors import SettingError, allowed_names
from polyhead.report.paper_figures import PAPER_MODELS, paper_control, paper_models, paper_multi_source, paper_scores
from polyhead.report.printed_table import Column, PrintedTable
from polyhead.report.reading import short
from polyhead.report.study_closeness import closeness_tables
from polyhead.report.study_columns import (
    Row,
    blank_note,
    family_of,
    filled,
    gain_cells,
    gain_columns,
    model_name,
    notes,
    one_family,
    target_cell,
    variants,
)
from polyhead.report.study_families import Family, families, family_key, language_of, source_of
from polyhead.report.study_ranks import rank_tables
from polyhead.report.study_record import StudyCellRecord
from polyhead.report.study_scores import StudyRow, StudyScores, View, study_scores
from polyhead.selection.gains import RANKED

Layout = Literal["paper", "long"]
LAYOUTS: Final[tuple[Layout, ...]] = ("paper", "long")
COMBINATIONS: Final = {"merged": "MD", "summed": "SD", "each": "EC"}
_CONTROLS: Final = ("random", "highest")
_PAIRED: Final = ("cross-lingual", "multi-lingual")


def study_tables(
    cells: Sequence[StudyCellRecord], view: View | None = None, *, layout: Layout = "paper", only: str | None = None
) -> list[PrintedTable]:
    """Every table that the cells fill; no model is needed.

    Args:
        cells: From `read_cells`.
        view: Another rule, metric or choice of languages.
        layout: `long` has one row for every gain; `paper` the tables of Ma et al. 2021, beside the paper's own figures.
        only: The name of one table.

    Raises:
        SettingError: No such table, no cell has kept a score of the rule, or the counts do not give the metric.
        StoreError: A cell's file of counts is damaged.
    """
    view = view or View()
    scores = study_scores(cells, view)
    found = [table for table in tables_of(cells, scores, view, layout) if table.rows]
    if scores.blanks and not found:
        raise SettingError(f"no score is left. {blank_note(scores.blanks)}")
    if only is None:
        return found
    chosen = [table for table in found if table.name == only]
    if not chosen:
        raise SettingError(f"table {only!r}: {allowed_names(only, [table.name for table in found])}")
    return chosen


def tables_of(cells: Sequence[StudyCellRecord], scores: StudyScores, view: View, layout: Layout) -> list[PrintedTable]:
    """The tables of one layout that have a row, from scores that are known."""
    found = [long_table(scores, view)] if layout == "long" else _paper_tables(cells, scores, view)
    return [table for table in found if table.rows]


def long_table(scores: StudyScores, view: View) -> PrintedTable:
    """One row for every arm and target, for means, and for contrasts of arms."""
    rows = one_family(scores.rows)
    said = variants(_families(rows))
    body: list[Row] = [
        {
            "task": row.family.facts.task,
            "model": model_name(row.family.facts.model),
            "setting": row.family.facts.setting,
            "source": row.family.source,
            "target": target_cell(row),
            "language": row.language,
            "family": family_of(row.language),
            "variant": said[row.family.key] or None,
            "arm": row.gain.arm,
            "seeds": len(row.gain.seeds),
            "k": ", ".join(map(str, row.ks)) or None,
            "pruned_share": sum(row.ks) / len(row.ks) / row.n_heads if row.ks else None,
            **gain_cells(row),
        }
        for row in rows
    ]
    body += _blank_lines(scores, {(row.family.key, row.gain.arm, row.gain.name) for row in rows})
    columns = [
        *(Column(name, name) for name in ("task", "model", "setting", "source", "target", "language", "family")),
        Column("variant", "settings"),
        Column("arm", "arm"),
        Column("seeds", "seeds", "whole"),
        Column("k", "heads pruned by seed"),
        Column("pruned_share", "share of heads", "share"),
        Column("unpruned", "unpruned", "points"),
        Column("pruned", "pruned", "points"),
        Column("gain", "gain", "gain"),
        Column("standard_error", "standard error", "points"),
        Column("interval", "95 % interval", "interval"),
        Column("p", "p", "p"),
        Column("p_holm", "p (Holm)", "p"),
        Column("detectable", "detectable", "points"),
        Column("of_mask", "gain of the mask", "gain"),
        Column("of_mask_interval", "its 95 % interval", "interval"),
        Column("noise", "selection noise", "gain"),
        Column("beyond", "gain beyond", "gain"),
        Column("beyond_interval", "its interval", "interval"),
    ]
    extra = (
        "Gain of the mask: over the nested model's own k = 0. Gain beyond: minus selection noise, or where all models of a "
        "search share one training, minus the gain of random heads. ranked - random: difference of two arms, paired by seed."
    )
    return PrintedTable("long", "Gains", filled(columns, body), tuple(body), (*notes(scores, rows, view), extra))


def _blank_lines(scores: StudyScores, there: set[tuple[str, str, str | None]]) -> list[Row]:
    """A line without scores for every arm and target of which no seed has any."""
    found: dict[tuple[str, str, str | None], Row] = {}
    for cell, target in ((one.cell, one.target) for one in scores.blanks):
        key, facts = (family_key(cell.cell), cell.cell.arm, target), cell.cell
        if key not in there:
            found[key] = {
                "task": facts.task,
                "model": model_name(facts.model),
                "setting": facts.setting,
                "source": source_of(facts),
                "target": short(target),
                "language": cell.language[target],
                "family": family_of(cell.language[target]),
                "arm": facts.arm,
                "seeds": 0,
            }
    return list(found.values())


def _paper_tables(cells: Sequence[StudyCellRecord], scores: StudyScores, view: View) -> list[PrintedTable]:
    every = families(cells)
    found = []
    for task in dict.fromkeys(family.facts.task for family in every):
        own = [row for row in scores.rows if row.family.facts.task == task]
        found += [
            score_table(task, own, scores, view),
            control_table(task, own, scores, view),
            multi_source_table(task, own, scores, view),
            low_resource_table(task, own, scores, view),
            branch_table(task, own, scores, view),
        ]
    return [*found, *rank_tables(every), *closeness_tables(every, scores)]


def score_table(task: str, rows: Sequence[StudyRow], scores: StudyScores, view: View) -> PrintedTable:
    """Source × target: unpruned, pruned and gain of every model and setting, beside the paper's (its tables 1 to 4)."""
    own = one_family(
        [row for row in _of(rows, "cross-lingual", "multi-lingual") if row.gain.arm == RANKED and not _is_branch(row)]
    )
    said = variants(_families(own))
    columns = [Column("source", "source"), Column("target", "target")]
    body: dict[tuple[str, str], Row] = {}
    for number, (label, group) in enumerate(_grouped(own, lambda row: _label(row.family, said)).items()):
        key = f"{number}_"
        columns += gain_columns(group=label, key=key)
        for row in group:
            _line(body, row.family.source, target_cell(row)).update(gain_cells(row, key=key))
    for blank in scores.blanks:
        facts = blank.cell.cell
        if facts.task == task and facts.arm == RANKED and facts.setting in _PAIRED:
            _line(body, source_of(facts), short(blank.target))
    columns += _paper_columns(task, own, body)
    return _table(
        f"{task}-scores", f"{task}: pruned against unpruned", columns, [*body.values()], (*notes(scores, own, view), _PAPER_NOTE)
    )


_PAPER_NOTE: Final = (
    "Paper: Ma et al. 2021, one seed, best of k = 1..12 on the reported split, POS as chunk-F1 (--metric chunk_f1), other data "
    "for NER."
)


def _paper_columns(task: str, rows: Sequence[StudyRow], body: dict[tuple[str, str], Row]) -> list[Column]:
    """The paper's own scores, entered into the lines that it has."""
    columns: dict[str, Column] = {}
    for row in rows:
        if row.gain.name is None:
            continue
        for name in paper_models(row.family.facts.model):
            source, setting = _source_language(row.family), row.family.facts.setting
            if found := paper_scores(task, name, setting, source, row.language):
                key, group = f"paper_{name}_{setting}_", f"paper, {PAPER_MODELS[name]} {setting}"
                values = {"unpruned": found.unpruned, "pruned": found.pruned}
                for side, value in values.items():
                    _line(body, row.family.source, target_cell(row))[key + side] = value
                    columns[key + side] = Column(key + side, side, "points", group)
    return [columns[key] for key in sorted(columns, key=lambda key: (key.rpartition("_")[0], key.endswith("_pruned")))]


def control_table(task: str, rows: Sequence[StudyRow], scores: StudyScores, view: View) -> PrintedTable:
    """Gains of the ranked arm and of its controls, and their differences paired by seed (the paper's table 5)."""
    with_controls = {row.family.key for row in rows if row.gain.arm in _CONTROLS}
    own = [row for row in rows if row.family.key in with_controls and not _is_branch(row)]
    contrasts = one_family([row for row in own if " - " in row.gain.arm])
    said = variants(_families(own))
    body: dict[tuple[str, ...], Row] = {}
    columns = [Column("settings", "settings"), Column("source", "source"), Column("target", "target")]
    for arm in (RANKED, *_CONTROLS):
        columns.append(Column(f"{arm}_gain", f"{arm}: gain", "gain"))
    for arm in _CONTROLS:
        columns += gain_columns(group=f"{RANKED} - {arm}", key=f"{arm}_contrast_", scores=False)
    columns += [Column(f"paper_{arm}", f"paper: {arm}", "gain") for arm in _CONTROLS]
    for row in (*own, *contrasts):
        line = body.setdefault(
            (_label(row.family, said), row.family.source, target_cell(row)),
            {"settings": _label(row.family, said), "source": row.family.source, "target": target_cell(row)},
        )
        if " - " in row.gain.arm:
            line.update(gain_cells(row, key=f"{row.gain.arm.rpartition(' ')[2]}_contrast_"))
            continue
        line[f"{row.gain.arm}_gain"] = gain_cells(row)["gain"]
        for arm in _CONTROLS:
            models = paper_models(row.family.facts.model)
            source, setting = _source_language(row.family), row.family.facts.setting
            if "mbert" in models and row.gain.name is not None:
                line[f"paper_{arm}"] = paper_control(task, "mbert", setting, source, row.language, arm)
    return _table(
        f"{task}-controls",
        f"{task}: ranked heads against controls",
        columns,
        [*body.values()],
        (*notes(scores, contrasts, view), _PAPER_NOTE),
    )


def multi_source_table(task: str, rows: Sequence[StudyRow], scores: StudyScores, view: View) -> PrintedTable:
    """One language left out as target: every way to combine sources' rankings (the paper's table 6)."""
    own = one_family([row for row in _of(rows, "multi-source") if row.gain.arm == RANKED and not _is_branch(row)])
    said = variants(_families(own), without="combine")
    body: dict[tuple[str, str], Row] = {}
    columns = [Column("settings", "settings"), Column("target", "target"), Column("unpruned", "unpruned", "points")]
    for combine, label in COMBINATIONS.items():
        columns += gain_columns(group=f"{label} ({combine})", key=f"{combine}_")[1:]
    paper = {"unpruned": "unpruned", **COMBINATIONS}
    columns += [Column(f"paper_{name}", label, "points", "paper, mBERT") for name, label in paper.items()]
    for row in own:
        label, target = _label(row.family, said), target_cell(row)
        line = body.setdefault((label, target), {"settings": label, "target": target, "unpruned": row.unpruned})
        line.update(gain_cells(row, key=f"{row.family.facts.combine}_"))
        if row.gain.name is not None:
            line.update({f"paper_{name}": paper_multi_source(task, "mbert", name, row.language) for name in paper})
    return _table(
        f"{task}-multi-source", f"{task}: several sources", columns, [*body.values()], (*notes(scores, own, view), _PAPER_NOTE)
    )


def low_resource_table(task: str, rows: Sequence[StudyRow], scores: StudyScores, view: View) -> PrintedTable:
    """Scores by the share of the target's training data (the paper's figures 2 and 3)."""
    own = one_family([row for row in _of(rows, "low-resource") if row.gain.arm == RANKED and row.language != "mean"])
    said = variants(_families(own), without="target_tenths")
    body = [
        {
            "settings": _label(row.family, said),
            "source": row.family.source,
            "target": target_cell(row),
            "tenths": 10 * (row.family.facts.target_tenths or 0),
            **gain_cells(row),
        }
        for row in sorted(own, key=lambda row: (row.family.source, row.gain.name or "", row.family.facts.target_tenths or 0))
    ]
    columns = [
        Column("settings", "settings"),
        Column("source", "source"),
        Column("target", "target"),
        Column("tenths", "% of target data", "whole"),
        *gain_columns(),
    ]
    return _table(f"{task}-low-resource", f"{task}: little data of the target", columns, body, notes(scores, own, view))


def branch_table(task: str, rows: Sequence[StudyRow], scores: StudyScores, view: View) -> PrintedTable:
    """Mean gains over the branches of language families; filled with `View(families=True)`."""
    own = one_family([row for row in rows if row.gain.arm == RANKED and _is_branch(row)])
    said = variants(_families(own))
    body = [
        {
            "settings": _label(row.family, said),
            "source": row.family.source,
            "branch": row.gain.name,
            "targets": sum(family_of(language_of(name)) == row.gain.name for name in _targets(row.family, view)),
            **gain_cells(row),
        }
        for row in own
    ]
    columns = [
        Column("settings", "settings"),
        Column("source", "source"),
        Column("branch", "branch of the family"),
        Column("targets", "targets", "whole"),
        *gain_columns(),
    ]
    return _table(f"{task}-families", f"{task}: means over language families", columns, body, notes(scores, own, view))


def _table(name: str, title: str, columns: Sequence[Column], body: Sequence[Row], said: Iterable[str]) -> PrintedTable:
    return PrintedTable(name, title, filled(columns, body), tuple(body), tuple(said))


def _targets(family: Family, view: View) -> list[str]:
    every = dict.fromkeys(name for cell in family.cells for name in cell.cell.targets)
    return [name for name in every if view.without.isdisjoint((name, language_of(name)))]


def _is_branch(row: StudyRow) -> bool:
    return row.language == "mean" and row.gain.name is not None


def _of(rows: Iterable[StudyRow], *settings: str) -> list[StudyRow]:
    return [row for row in rows if row.family.facts.setting in settings]


def _families(rows: Iterable[StudyRow]) -> list[Family]:
    return list({row.family.key: row.family for row in rows}.values())


def _label(family: Family, said: dict[str, str]) -> str:
    """Model, setting and the settings in which the table's families differ."""
    parts = (model_name(family.facts.model), family.facts.setting, said.get(family.key, ""))
    return ", ".join(filter(None, parts))


def _line(body: dict[tuple[str, str], Row], source: str, target: str) -> Row:
    return body.setdefault((source, target), {"source": ", ".join(map(short, source.split(", "))), "target": target})


def _source_language(family: Family) -> str:
    return language_of(family.source.split(", ")[0])


def _grouped(rows: Iterable[StudyRow], by: Callable[[StudyRow], str]) -> dict[str, list[StudyRow]]:
    found: dict[str, list[StudyRow]] = {}
    for row in rows:
        found.setdefault(by(row), []).append(row)
    return found
