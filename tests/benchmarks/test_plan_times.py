"""Times of plans are kept one by one, measured once, and compared with a table that is never measured on the way."""

from pathlib import Path

import plan_times
import pytest
from plan_times import latency_table, plan_name, speeds, time_plans, times

import polyhead as ph
from polyhead.compression.latency_table import LatencyTable
from polyhead.compression.timing import Timer

SHAPE, WHOLE, HALF = (1, 8), [(8, 512)] * 4, [(4, 256)] * 4
TABLE = LatencyTable.given(
    batch=1,
    length=8,
    n_layers=4,
    fixed=1.0,
    attention=((0, 0.0), (8, 1.0)),
    feed_forward=((0, 0.0), (512, 1.0)),
)


def test_each_plan_is_measured_once_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, model = tmp_path / "times.json", ph.Tagger.load("polyhead/tiny", task="pos", seed=42).model
    wanted = [(SHAPE, HALF), (SHAPE, WHOLE), (SHAPE, HALF)]
    quick = {"file": file, "timer": Timer(least=1, most=1), "model": model, "tables": {SHAPE: TABLE}}
    time_plans(wanted, minutes=0.0, **quick)
    assert times(file) == {}, "no time is left to begin a plan"
    time_plans(wanted[:1], **quick)
    first = times(file)["1x8"][plan_name(HALF)]
    capsys.readouterr()
    time_plans(wanted, **quick)
    assert capsys.readouterr().err.startswith("1 plans to measure")
    assert {*times(file)["1x8"]} == {plan_name(HALF), plan_name(WHOLE)}
    assert times(file)["1x8"][plan_name(HALF)] == first
    found = speeds(SHAPE, HALF, file=file, table=TABLE)
    assert found == {"predicted": 9 / 5, "measured": first["times_as_fast"]}
    assert speeds(SHAPE, [(0, 0)] * 4, file=file, table=TABLE)["measured"] is None


def test_without_a_table_a_search_ends_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_times, "TABLES", tmp_path)
    with pytest.raises(SystemExit, match=r"e5\.7x7\.json: no latency table; measure it first, on an idle machine: python"):
        latency_table((7, 7))
