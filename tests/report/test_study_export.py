"""Rows for other programs: flat, the same keys in every row; MLflow where it is installed."""

import json
from pathlib import Path

import pytest
from fake_study import Fake, changed, write_store

from polyhead.core.errors import SettingError
from polyhead.report.study_export import write_jsonl, write_mlflow
from polyhead.report.study_record import StudyCellRecord, read_cells


@pytest.fixture
def cells(tmp_path: Path) -> list[StudyCellRecord]:
    fake = Fake(seeds=(42, 43), targets=("ud/de_gsd", "ud/nl_alpino"))
    write_store(tmp_path / "store", fake, changed(fake, arms=("noise",), seeds=(99,)))
    return read_cells(tmp_path / "store")


def test_rows_are_flat_and_have_the_same_keys(tmp_path: Path, cells: list[StudyCellRecord]) -> None:
    path = tmp_path / "rows.jsonl"
    assert write_jsonl(path, cells) == 10
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert len({tuple(row) for row in rows}) == 1
    assert all(not isinstance(value, list | dict) for row in rows for value in row.values())
    one = next(row for row in rows if row["arm"] == "ranked")
    assert one["gain_accuracy"] == pytest.approx(one["pruned_accuracy"] - one["unpruned_accuracy"])
    assert (one["search_how"], one["train_epochs"], one["k"], one["source"]) == ("nested", 3, 4, "ud/en_ewt")
    assert [row["k"] for row in rows if row["arm"] == "noise"] == [None, None]


def test_pandas_reads_them_as_they_are(tmp_path: Path, cells: list[StudyCellRecord]) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    write_jsonl(tmp_path / "rows.jsonl", cells)
    frame = pandas.read_json(tmp_path / "rows.jsonl", lines=True)
    assert frame.groupby("arm").gain_accuracy.count().to_dict() == {"noise": 0, "random": 4, "ranked": 4}


def test_mlflow_gets_each_cell_once(tmp_path: Path, cells: list[StudyCellRecord]) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    uri = str(tmp_path / "runs.db")
    assert write_mlflow(uri, cells[:2], experiment="study") == 2
    assert write_mlflow(uri, cells[:3], experiment="study") == 1
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{uri}")
    runs = client.search_runs([client.get_experiment_by_name("study").experiment_id])
    assert {run.data.tags["polyhead.cell"] for run in runs} == {cell.name for cell in cells[:3]}
    assert any("ud/de_gsd/gain_accuracy" in run.data.metrics for run in runs)
    client.update_run(runs[0].info.run_id, status="RUNNING")
    assert write_mlflow(uri, cells[:3], experiment="study") == 1, "a run that was cut short is made again"


def test_without_mlflow_the_extra_is_named(cells: list[StudyCellRecord], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(SettingError, match=r"pip install 'polyhead\[mlflow\]'"):
        write_mlflow("runs.db", cells, experiment="study")
