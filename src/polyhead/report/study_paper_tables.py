"""Tables of a study laid out as those of Ma et al. 2021, beside the paper's own figures."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from polyhead.report.paper_figures import (
    PAPER_CONTROLS,
    PAPER_MODELS,
    paper_control,
    paper_models,
    paper_multi_source,
    paper_scores,
)
from polyhead.report.printed_table import Column, PrintedTable
from polyhead.report.reading import short
from polyhead.report.study_columns import (
    Row,
    family_of,
    filled,
    gain_cells,
    gain_columns,
    is_made,
    model_name,
    notes,
    one_family,
    row_families,
    target_cell,
    variants,
)
from polyhead.report.study_families import Family, language_of, source_of
from polyhead.report.study_scores import StudyRow, StudyScores
from polyhead.report.study_view import View
from polyhead.report.tables import ARM_NAMES
from polyhead.selection.gains import RANKED

COMBINATIONS: Final = {"merged": "MD", "summed": "SD", "each": "EC"}
_CONTROLS: Final = tuple(arm for arm in ARM_NAMES if arm != RANKED)
_PAIRED: Final = ("cross-lingual", "multi-lingual")
_PAPER_DIFFERS: Final = {"pos": "as chunk-F1 (--metric chunk_f1)", "ner": "on other data"}


def score_table(task: str, rows: Sequence[StudyRow], scores: StudyScores, view: View) -> PrintedTable:
    """Source × target: unpruned, pruned and gain of every model and setting, beside the paper's (its tables 1 to 4)."""
    own = one_family(
        [row for row in _of(rows, "cross-lingual", "multi-lingual") if row.gain.arm == RANKED and not _is_branch(row)]
    )
    said = variants(row_families(own))
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
    below = notes(scores, own, view)
    return _table(f"{task}-scores", f"{task}: pruned against unpruned", columns, [*body.values()], below, task=task)


def _paper_columns(task: str, rows: Sequence[StudyRow], body: dict[tuple[str, str], Row]) -> list[Column]:
    """The paper's own scores, entered into the lines that it has."""
    columns: dict[str, Column] = {}
    for row in rows:
        if row.gain.name is None or is_made(row.gain.name):
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
    said = variants(row_families(own))
    body: dict[tuple[str, ...], Row] = {}
    columns = [Column("settings", "settings"), Column("source", "source"), Column("target", "target")]
    controls = [arm for arm in _CONTROLS if any(row.gain.arm == arm for row in own)]
    for arm in (RANKED, *controls):
        columns.append(Column(f"{arm}_gain", f"{arm}: gain", "gain"))
    for arm in controls:
        columns += gain_columns(group=f"{RANKED} - {arm}", key=f"{arm}_contrast_", scores=False)
    columns += [Column(f"paper_{arm}", f"paper: {arm}", "gain") for arm in controls if arm in PAPER_CONTROLS]
    for row in (*own, *contrasts):
        line = body.setdefault(
            (_label(row.family, said), row.family.source, target_cell(row)),
            {"settings": _label(row.family, said), "source": row.family.source, "target": target_cell(row)},
        )
        if " - " in row.gain.arm:
            line.update(gain_cells(row, key=f"{row.gain.arm.rpartition(' ')[2]}_contrast_"))
            continue
        line[f"{row.gain.arm}_gain"] = gain_cells(row)["gain"]
        for arm in controls:
            models = paper_models(row.family.facts.model)
            source, setting = _source_language(row.family), row.family.facts.setting
            if "mbert" in models and row.gain.name is not None and not is_made(row.gain.name):
                line[f"paper_{arm}"] = paper_control(task, "mbert", setting, source, row.language, arm)
    return _table(
        f"{task}-controls",
        f"{task}: ranked heads against controls",
        columns,
        [*body.values()],
        notes(scores, contrasts, view),
        task=task,
    )


def multi_source_table(task: str, rows: Sequence[StudyRow], scores: StudyScores, view: View) -> PrintedTable:
    """One language left out as target: every way to combine sources' rankings (the paper's table 6)."""
    own = one_family([row for row in _of(rows, "multi-source") if row.gain.arm == RANKED and not _is_branch(row)])
    said = variants(row_families(own), without="combine")
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
        if row.gain.name is not None and not is_made(row.gain.name):
            line.update({f"paper_{name}": paper_multi_source(task, "mbert", name, row.language) for name in paper})
    below = notes(scores, own, view)
    return _table(f"{task}-multi-source", f"{task}: several sources", columns, [*body.values()], below, task=task)


def low_resource_table(task: str, rows: Sequence[StudyRow], scores: StudyScores, view: View) -> PrintedTable:
    """Scores by the share of the target's training data (the paper's figures 2 and 3)."""
    own = one_family([row for row in _of(rows, "low-resource") if row.gain.arm == RANKED and row.language != "mean"])
    said = variants(row_families(own), without="target_tenths")
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
    title = f"{task}: little data of the target"
    return _table(f"{task}-low-resource", title, columns, body, notes(scores, own, view), task=task)


def branch_table(task: str, rows: Sequence[StudyRow], scores: StudyScores, view: View) -> PrintedTable:
    """Mean gains over the branches of language families; filled with `View(families=True)`."""
    own = one_family([row for row in rows if row.gain.arm == RANKED and _is_branch(row)])
    said = variants(row_families(own))
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
    title = f"{task}: means over language families"
    return _table(f"{task}-families", title, columns, body, notes(scores, own, view), task=task)


def _table(
    name: str, title: str, columns: Sequence[Column], body: Sequence[Row], said: Iterable[str], *, task: str
) -> PrintedTable:
    """The table, with a note on the paper's figures if any stand in it."""
    there = filled(columns, body)
    paper = [_paper_note(task)] if any(column.key.startswith("paper_") for column in there) else []
    return PrintedTable(name, title, there, tuple(body), (*said, *paper))


def _paper_note(task: str) -> str:
    """How the paper's figures differ from those beside them."""
    how = "Paper: Ma et al. 2021, one seed, best of k = 1..12 on the reported split"
    return ", ".join(filter(None, (how, _PAPER_DIFFERS.get(task)))) + "."


def _targets(family: Family, view: View) -> list[str]:
    every = dict.fromkeys(name for cell in family.cells for name in cell.cell.targets)
    return [name for name in every if view.without.isdisjoint((name, language_of(name)))]


def _is_branch(row: StudyRow) -> bool:
    return row.language == "mean" and row.gain.name is not None


def _of(rows: Iterable[StudyRow], *settings: str) -> list[StudyRow]:
    return [row for row in rows if row.family.facts.setting in settings]


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
