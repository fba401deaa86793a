"""What finished cells cost, beside other procedures for the same cells: fine-tunings and seconds, from the records."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Final

from polyhead.report.printed_table import Column, PrintedTable, Value
from polyhead.report.study_record import StudyCellRecord
from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_trainings import released_runs, released_shared_runs

_COLUMNS: Final = (
    Column("procedure", "procedure"),
    Column("trainings", "fine-tunings", "whole"),
    Column("trainings_times", "times as many", "points"),
    Column("training_seconds", "seconds of fine-tuning", "seconds"),
    Column("seconds_times", "times as long", "points"),
    Column("seconds", "seconds of all stages", "seconds"),
)
_NOTE: Final = (
    "Wall-clock seconds of one process, each stage once, as the records of the finished cells say. The released procedure of Ma "
    "et al. 2021 fine-tunes an unpruned model and k = 1..12 (or to max_pruned); its seconds are those of each cell's unpruned "
    "fine-tuning times that number, without ranking and tests."
)


def cost_table(cells: Sequence[StudyCellRecord]) -> PrintedTable:
    """The cost of these finished cells against the released procedure run for every cell and target, and sharing source models.

    Args:
        cells: From `read_cells`.
    """
    stages = {(own.stage, own.kind): own.seconds for cell in cells for own in cell.made_in}
    pruned = {
        cell.result.fit for cell in cells if cell.result is not None and cell.cell.search.one_training and cell.result.chosen
    }
    own = [seconds for (stage, kind), seconds in stages.items() if kind == "fine-tuning" and stage not in pruned]
    every = [_cell_of(cell) for cell in cells]
    of_full = {found.fingerprint: _of_full(cell) for found, cell in zip(every, cells, strict=True)}
    rows = [
        _row("these cells", len(own), sum(own), own) | {"seconds": sum(stages.values())},
        *(
            _row(name, sum(n for _, n in runs), sum(n * of_full[cell.fingerprint] for cell, n in runs), own)
            for name, runs in (
                ("released, once for every cell and target", [*released_runs(every)]),
                ("released, each source model shared by its targets", [*released_shared_runs(every)]),
            )
        ),
    ]
    return PrintedTable("cost", "Cost", _COLUMNS, tuple(rows), (_NOTE,))


def _row(name: str, n: int, seconds: float, own: Sequence[float]) -> dict[str, Value]:
    return {
        "procedure": name,
        "trainings": n,
        "trainings_times": n / len(own) if own else None,
        "training_seconds": seconds,
        "seconds_times": seconds / sum(own) if sum(own) else None,
    }


def _of_full(cell: StudyCellRecord) -> float:
    """Seconds of the cell's unpruned fine-tuning, the first of its stages."""
    return cell.made_in[0].seconds if cell.made_in else 0.0


def _cell_of(record: StudyCellRecord) -> StudyCell:
    found: dict[str, Any] = {item.name: getattr(record.cell, item.name, None) for item in fields(StudyCell)}
    return StudyCell(**found | {name: tuple(found[name]) for name in ("sources", "targets")})
