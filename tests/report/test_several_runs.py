"""Several runs in one table: each in the unit of its own figure, gains by target side by side."""

import re
from pathlib import Path

from report.page_case import edited, write_many, write_run

from polyhead.report.finished_run import finished_runs
from polyhead.report.reading import gains
from polyhead.report.run_tables import gains_table, runs_table


def rows(table: str) -> list[list[str]]:
    return [[field.strip() for field in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def test_a_run_has_a_row_with_its_gain_and_interval(tmp_path: Path) -> None:
    runs = finished_runs(write_many(tmp_path, 2))
    found = rows(runs_table(runs))
    assert [row[0] for row in found] == ["run-0", "run-1"]
    for row, run in zip(found, runs, strict=True):
        own = gains(run.record)
        assert row[3:8] == ["5", "5", "4", "48", "accuracy"]
        assert float(row[10]) == round(sum(gain.gain for gain in own) / len(own), 2)
        (mean,) = [stat.interval for stat in run.record.statistics if stat.arm == "ranked" and stat.name is None]
        assert mean is not None
        assert row[11] == f"{mean[0]:+.2f} to {mean[1]:+.2f}"


def test_gains_stand_side_by_side_and_a_target_that_a_run_lacks_is_a_dash(tmp_path: Path) -> None:
    runs = finished_runs(write_many(tmp_path, 2))
    runs[1] = edited(
        runs[1].folder,
        lambda record: [cell.update(targets=cell["targets"][:1] + cell["targets"][2:]) for cell in record["cells"]],
    )
    found = {row[0]: row[1:] for row in rows(gains_table(runs))}
    first = {row.name: row.gain for row in gains(runs[0].record)}
    assert re.fullmatch(r"[-+]0\.\d\d \(\S+ to \S+(; detectable 0\.\d\d)?\)", found["ud/de_gsd"][0])
    assert found["ud/de_gsd"][0].startswith(f"{first['ud/de_gsd']:+.2f} (")
    assert found["ud/ar_padt"][0] != "–" == found["ud/ar_padt"][1]
    assert list(found)[-1] == "mean"
    assert "x: test.conllu" in found, "a file is called as in every other table"


def test_no_interval_is_given_to_a_target_of_which_nothing_was_pruned(tmp_path: Path) -> None:
    run = edited(
        write_run(tmp_path), lambda record: [target.update(k=0) for cell in record["cells"] for target in cell["targets"]]
    )
    (german,) = [row for row in rows(gains_table([run])) if row[0] == "ud/de_gsd"]
    assert german[1] == "0 (none pruned)"
