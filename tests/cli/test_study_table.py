"""The commands that read a study's store."""

import json
from pathlib import Path

import pytest
from fake_study import Fake, write_store
from tiny_run import study_text

from polyhead.cli.main import main
from polyhead.core.store_kind import open_store
from polyhead.studies.study_folder import studies_of
from polyhead.studies.study_store import KIND, SCHEMA


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies") / "mine"
    write_store(folder, Fake(seeds=(42, 43, 44, 45, 46), n_sentences=60))
    return folder


def test_tables_in_every_format(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "table", str(store)]) == 0
    assert "## pos: pruned against unpruned" in capsys.readouterr().out
    assert main(["study", "table", str(store), "--layout", "long", "--format", "csv", "--out", str(tmp_path / "t.csv")]) == 0
    assert (tmp_path / "t.csv").read_text(encoding="utf-8").startswith("task,model,setting,source,target")
    capsys.readouterr()
    assert main(["study", "table", str(store), "--format", "latex", "--table", "pos-scores"]) == 0
    assert r"\toprule" in capsys.readouterr().out
    assert main(["study", "table", str(store), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tables"][0]["name"] == "pos-scores"


def test_the_cost_of_finished_cells_stands_beside_the_released_procedure(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Five seeds of one source, ranked and random, on three targets; a fine-tuning takes 60 seconds."""
    assert main(["study", "table", str(store), "--layout", "cost", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["tables"][0]["rows"]
    assert [(row["trainings"], row["training_seconds"]) for row in rows] == [
        (5, 300),
        (5 * 3 * (13 + 12), 60 * 5 * 3 * (13 + 12)),
        (5 * (13 + 12), 60 * 5 * (13 + 12)),
    ]
    assert rows[1]["trainings_times"] == 75


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--without", "xx"], "--without xx: no target of these cells; they have ar, de, nl"),
        (
            ["--without", "ar", "de", "nl", "--layout", "long"],
            "--without ar de nl: leaves no target; these cells have ar, de, nl",
        ),
        (["--table", "pos-score"], "did you mean 'pos-scores'"),
        (["--format", "csv"], "choose one with --table NAME"),
        (["--k", "3", "--objective", "best"], "give one of them"),
        (["--k", "99"], "k = 99: no cell has kept a test score with so many heads pruned; give one of 0, 4; study run with"),
        (["--k", "99", "--layout", "long"], "k = 99: no cell has kept"),
        (["--metric", "span_f1"], "give accuracy, chunk_f1"),
    ],
)
def test_bad_options_are_one_line(store: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "table", str(store), *options]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_a_page_of_a_k_that_no_cell_has_is_refused(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("altair", reason="the extra report is not installed")
    assert main(["study", "report", str(store), "--out", str(tmp_path / "page.html"), "--k", "99"]) == 2
    assert "k = 99: no cell has kept" in capsys.readouterr().err
    assert not (tmp_path / "page.html").exists()


def test_damaged_cells_are_said_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_store(tmp_path, Fake(seeds=(42, 43, 44), n_sentences=30))
    first, second, *_ = sorted((tmp_path / "cells").glob("*.json"))
    first.write_text("{", encoding="utf-8")
    assert main(["study", "plan", str(tmp_path), "--gain", "0.5"]) == 0
    said = capsys.readouterr().err
    assert f"left out: {first}" in said
    assert "start the study again" in said
    assert "delete it" not in said
    next(second.parent.glob(f"{second.stem}.*.safetensors")).write_bytes(b"?")
    assert main(["study", "table", str(tmp_path)]) == 0
    assert "changed after it was written" in capsys.readouterr().err


def test_plan_report_and_export(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "plan", str(store), "--gain", "0.5"]) == 0
    assert "Seeds needed for a gain of 0.5 points" in capsys.readouterr().out
    assert main(["study", "export", str(store), str(tmp_path / "rows.jsonl"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 30
    assert main(["study", "export", str(store), str(tmp_path / "rows.csv")]) == 2
    assert "rows.csv: expected a name that ends in .jsonl" in capsys.readouterr().err
    assert not (tmp_path / "rows.csv").exists()
    pytest.importorskip("altair", reason="the extra report is not installed")
    page, text = tmp_path / "page.html", tmp_path / "page.md"
    assert main(["study", "report", str(store), "--out", str(page), "--markdown", str(text)]) == 0
    assert "<title>polyhead: study mine</title>" in page.read_text(encoding="utf-8")
    assert text.read_text(encoding="utf-8").startswith("# Study mine")


def test_a_store_of_several_studies_has_tables_of_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_store(tmp_path, kind=KIND, schema=SCHEMA)
    write_store(tmp_path, Fake(seeds=(42, 43, 44), n_sentences=30))
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "none.toml").write_text(study_text(tmp_path), encoding="utf-8")
    assert main(["study", "table", str(tmp_path), "--study", "other"]) == 2
    assert "has no study 'other'; it has none" in capsys.readouterr().err
    assert main(["study", "table", str(tmp_path), "--study", "none"]) == 2
    assert "no cell of none has finished" in capsys.readouterr().err
    cells = studies_of(tmp_path, ["none"])["none"].cells
    own = next((tmp_path / "cells").glob("*.json"))
    (counts,) = own.parent.glob(f"{own.stem}.*.safetensors")
    own.rename(own.with_name(f"{cells[0].fingerprint}.json"))
    counts.rename(counts.with_name(counts.name.replace(own.stem, cells[0].fingerprint)))
    out = tmp_path / "rows.jsonl"
    assert main(["study", "export", str(tmp_path), str(out), "--study", "none"]) == 0
    names = {json.loads(line)["cell"] for line in out.read_text(encoding="utf-8").splitlines()}
    assert names == {cells[0].fingerprint}
