"""Charts of runs: the figures that they draw are those of the record."""

from pathlib import Path
from typing import Any

import pytest
from report.page_case import TARGETS, edited, write_many, write_run

from polyhead.report.charts import gain_chart, trial_chart
from polyhead.report.finished_run import finished_run, finished_runs
from polyhead.report.reading import gains

altair: Any = pytest.importorskip("altair", reason="needs the extra report")


def drawn(chart: Any) -> list[dict[str, Any]]:
    """All rows of all data of a chart."""
    document = chart.to_dict()
    found = [row for rows in document.get("datasets", {}).values() for row in rows]

    def look(part: Any) -> None:
        if isinstance(part, dict):
            found.extend(part.get("data", {}).get("values", ()) if isinstance(part.get("data"), dict) else ())
            for inner in part.values():
                look(inner)
        elif isinstance(part, list):
            for inner in part:
                look(inner)

    look(document)
    return found


def test_gains_have_a_row_a_target_and_arm_and_their_mean_with_intervals(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    rows = [row for row in drawn(gain_chart(altair, [run])) if "gain" in row]
    points = {(row["pruned"], row["target"]): row for row in rows}
    assert len(points) == 2 * (len(TARGETS) + 1)
    for gain in gains(run.record):
        if gain.name == "ud/de_gsd":
            assert points["lowest-ranked heads", "ud/de_gsd"]["gain"] == pytest.approx(gain.gain)
    assert all(row["low"] < row["high"] for row in rows)


def test_several_runs_get_a_panel_each_on_one_scale(tmp_path: Path) -> None:
    document = gain_chart(altair, finished_runs(write_many(tmp_path, 3))).to_dict()
    assert [panel["title"] for panel in document["vconcat"]] == ["run-0", "run-1", "run-2"]
    assert document["resolve"]["scale"]["x"] == "shared"


def test_a_gain_without_an_interval_keeps_its_dot(tmp_path: Path) -> None:
    run = edited(write_run(tmp_path), lambda record: record["statistics"].clear())
    rows = [row for row in drawn(gain_chart(altair, [run])) if "gain" in row]
    assert rows
    assert all(row["low"] is None for row in rows)


def test_trials_mark_the_chosen_k_of_every_seed(tmp_path: Path) -> None:
    run = finished_run(write_run(tmp_path))
    rows = [row for row in drawn(trial_chart(altair, run)) if "chosen" in row]
    assert {(row["seed"], row["k"]) for row in rows if row["chosen"]} == {(f"seed {seed}", 4) for seed in range(42, 47)}
    assert {row["k"] for row in rows} == {0, 4, 12}


def test_a_run_without_a_screen_draws_its_trials_alone(tmp_path: Path) -> None:
    run = edited(write_run(tmp_path), lambda record: [cell.update(screen=None) for cell in record["cells"]])
    assert len(trial_chart(altair, run).to_dict()["layer"]) == 2
