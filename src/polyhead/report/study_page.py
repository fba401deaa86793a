"""`study report`: one self-contained page about a study, whose tables and pictures lead to the cells that they come from."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from polyhead.core.escaping import markdown_text
from polyhead.core.values import counted
from polyhead.report.html_page import figure, page_tools, template
from polyhead.report.pictures import places, text_picture
from polyhead.report.printed_table import PrintedTable, as_markdown, shown
from polyhead.report.reading import chosen_heads, short
from polyhead.report.statistic_rows import statistic_row
from polyhead.report.study_columns import model_name, target_cell, variants
from polyhead.report.study_curves import curve_chart
from polyhead.report.study_families import Family, families
from polyhead.report.study_record import StudyCellRecord
from polyhead.report.study_scores import StudyRow, StudyScores, study_scores
from polyhead.report.study_tables import LAYOUTS, tables_of
from polyhead.report.study_view import View
from polyhead.report.tables import ARM_NAMES, interval_cell, markdown, paragraphs, shown_number, title
from polyhead.selection.gains import RANKED

_COLOURS: Final = {RANKED: "#1f6fb4", "random": "#d06a17", "highest": "#2f8a3a", "depth": "#7a4fa3"}
_LEFT, _RIGHT, _ROW = 245, 700, 16  # pixels of a picture of gains
_NUMBERS: Final = frozenset({"points", "gain", "interval", "p", "rho", "share", "whole", "seconds"})


def study_page(cells: Sequence[StudyCellRecord], view: View | None = None, *, name: str) -> str:
    """The page as text; it needs no network and holds no text of a corpus.

    Args:
        cells: From `read_cells`.
        view: As of `study_tables`.
        name: Of the study, for the title.

    Raises:
        SettingError: The extra `report` is not installed.
        StoreError: A cell's file of counts is damaged.
    """
    altair, environment = page_tools()
    from markupsafe import Markup

    view = view or View()
    scores, every = study_scores(cells, view), families(cells)
    said = variants(every)
    tables = _all_tables(cells, scores, view)
    curve = curve_chart(altair, scores)
    words = "Test score by the share of the target's training data, unpruned and pruned, means over seeds"
    return str(
        environment.from_string(template("study.html.j2")).render(
            title=f"study {name}",
            headline=_headline(scores, said),
            groups=[_group(family, scores, said) for family in every],
            colours=[(ARM_NAMES[arm], colour) for arm, colour in _COLOURS.items()],
            tables=[_table(table) for table in tables],
            curves=[] if curve is None else [figure(curve, words)],
            cost=_cost(cells),
            style=Markup(template("page.css")),
            script=Markup("\n".join(template(f"{part}.js") for part in ("sorting", "study"))),
        )
    )


def study_markdown(cells: Sequence[StudyCellRecord], view: View | None = None, *, name: str) -> str:
    """The same tables as Markdown."""
    view = view or View()
    return (
        paragraphs(
            f"# Study {markdown_text(name)}",
            as_markdown(_all_tables(cells, study_scores(cells, view), view)).rstrip(),
            _cost(cells),
        )
        + "\n"
    )


def _all_tables(cells: Sequence[StudyCellRecord], scores: StudyScores, view: View) -> list[PrintedTable]:
    return [table for layout in LAYOUTS for table in tables_of(cells, scores, view, layout)]


def _title(family: Family, said: Mapping[str, str]) -> str:
    facts = family.facts
    parts = (facts.task, model_name(facts.model), facts.setting, f"from {family.source}", said.get(family.key, ""))
    return ", ".join(filter(None, parts))


def _headline(scores: StudyScores, said: Mapping[str, str]) -> str:
    """Mean gains of the ranked heads over targets, one line a group."""
    rows = []
    for row in scores.rows:
        if row.gain.arm == RANKED and (row.gain.name is None or _is_alone(row)):
            found = statistic_row(row.gain, row.language)
            gain = "0 (none pruned)" if found.none_pruned else shown_number(found.gain, "+.2f")
            metric = title(scores.metric[row.family.facts.task])
            line = [_title(row.family, said), metric, shown_number(row.unpruned), gain]
            rows.append([*line, interval_cell(found), len(row.gain.seeds)])
    return markdown(["", "metric", "unpruned", "mean gain", "95 % interval", "seeds"], rows)


def _is_alone(row: StudyRow) -> bool:
    return len({name for cell in row.family.cells for name in cell.cell.targets}) == 1


def _group(family: Family, scores: StudyScores, said: Mapping[str, str]) -> dict[str, Any]:
    """A picture of the gains of a family and its cells."""
    rows = [row for row in scores.rows if row.family.key == family.key and row.gain.arm in _COLOURS]
    found = [statistic_row(row.gain, row.language) for row in rows]
    ends = [0.0, *(own.gain for own in found), *(end for own in found if own.interval for end in own.interval)]
    low, high = min(ends), max(ends)
    step = next((step for step in (0.1, 0.25, 0.5, 1, 2, 5, 10, 25) if high - low <= 8 * step), 50)
    low, high = step * (low // step), step * -(-high // step) + (step if low == high else 0)

    def x(value: float) -> float:
        return round(_LEFT + (_RIGHT - _LEFT) * (value - low) / (high - low), 1)

    drawn = []
    for number, (row, own) in enumerate(zip(rows, found, strict=True)):
        first = row.cells[0] if row.gain.name is not None and row.cells else None
        drawn.append(
            {
                "y": _ROW * (number + 0.5),
                "x": x(own.gain),
                "low": None if own.interval is None else x(own.interval[0]),
                "high": None if own.interval is None else x(own.interval[1]),
                "colour": _COLOURS[row.gain.arm],
                "label": target_cell(row)[:38],
                "link": f"c-{first}" if first else f"cells-{family.key}",
                "words": f"{target_cell(row)}, {ARM_NAMES[row.gain.arm]}: {own.gain:+.2f} ({interval_cell(own)})",
            }
        )
    ticks = [{"x": x(value), "text": f"{value:g}", "zero": value == 0} for value in _ticks(low, high, step)]
    return {
        "key": family.key,
        "title": _title(family, said),
        "height": _ROW * len(rows) + 22,
        "rows": drawn,
        "ticks": ticks,
        "cells": [_cell(cell) for cell in sorted(family.cells, key=lambda own: (own.cell.arm != RANKED, own.cell.arm, own.seed))],
    }


def _ticks(low: float, high: float, step: float) -> list[float]:
    return [round(step * number, 6) for number in range(round(low / step), round(high / step) + 1)]


def _cell(cell: StudyCellRecord) -> dict[str, Any]:
    """A cell's section: scores, ranking and trials."""
    result = cell.result
    assert result is not None
    pruned, place = chosen_heads(result), places(result.scores)
    rows = [
        [short(own.name), own.k, *(shown_number(value) for value in (own.unpruned[metric], own.pruned[metric]))]
        for own in result.targets
        for metric in [next(iter(own.unpruned))]
    ]
    lines = [
        ",".join(str(place.get((layer, head), "")) for head in range(len(values))) for layer, values in enumerate(result.scores)
    ]
    return {
        "name": cell.name,
        "title": f"{ARM_NAMES[cell.cell.arm]}, seed {cell.seed}, {', '.join(map(short, cell.cell.targets))}: k = {result.chosen}",
        "words": f"{cell.name}: {result.chosen_reason}.",
        "places": ";".join(lines),
        "pruned": " ".join(pruned),
        "picture": text_picture(result.scores, pruned),
        "scores": markdown(["target", "heads pruned", "unpruned", "pruned"], rows),
        "trials": markdown(
            ["k", "dev", ""],
            [[trial.k, shown_number(trial.dev), "chosen" if trial.k == result.chosen else ""] for trial in result.trials],
        ),
    }


def _table(table: PrintedTable) -> dict[str, Any]:
    """A table whose lines lead to the group of cells that they come from."""
    headers = [" ".join(filter(None, (column.group, column.title))) for column in table.columns]
    rows = []
    for row in table.rows:
        cells = [{"text": shown(row.get(own.key), own.form), "number": own.form in _NUMBERS} for own in table.columns]
        rows.append({"cells": cells, "link": f"g-{row['link']}" if "link" in row else None})
    return {"name": table.name, "title": table.title, "headers": headers, "rows": rows, "notes": table.notes}


def _cost(cells: Sequence[StudyCellRecord]) -> str:
    """Seconds by kind of stage, each stage counted once, and what made the cells."""
    stages = {(own.stage, own.kind): own.seconds for cell in cells for own in cell.made_in}
    kinds = dict.fromkeys(kind for _, kind in stages)
    rows = [
        [kind, sum(own == kind for _, own in stages), f"{sum(s for (_, own), s in stages.items() if own == kind):,.0f}"]
        for kind in kinds
    ]
    table = markdown(["stage", "number", "seconds"], rows) if rows else ""
    facts = _counted(f"{key} {value}" for cell in cells for key, value in cell.environment.items())
    said = f"{counted(len(cells), 'cell')}; stages that cells share are counted once. Made with: {markdown_text(facts)}."
    return paragraphs(table, said)


def _counted(names: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(names))
