"""What stays on disk, what is not trained twice because of it, and that neither old code nor drawing spoils a result."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tiny_run import settings, tiny_data

from polyhead.core.errors import StoreError
from polyhead.report.finished_run import finished_run
from polyhead.selection.statistics import SeedMean
from polyhead.studies import finetunes, stages
from polyhead.studies.kept import remember
from polyhead.studies.run import run
from polyhead.studies.settings import RunSettings
from polyhead.studies.stages import Stage


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_data(tmp_path_factory.mktemp("run"))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A number for every training that a test leads to; nothing is drawn."""
    done: list[int] = []
    fit = run.__globals__["run_cell"].__globals__["fine_tuned"].__globals__["fit"]
    monkeypatch.setattr("polyhead.studies.finetunes.fit", lambda *args, **kwargs: done.append(1) or fit(*args, **kwargs))
    monkeypatch.setattr("polyhead.studies.run.draw", lambda folder: None)
    return done


def quick(folder: Path, **changes: Any) -> RunSettings:
    search = {"how": "sweep", "max_pruned": 2, "include_zero": False}
    return settings(folder, train={"epochs": 1}, search=search, **changes)


def checkpoints(out: Path) -> list[Path]:
    return [path.parent for path in out.rglob("*.safetensors") if path.parent.name == "model"]


def test_one_checkpoint_at_most_stays_beside_the_model(folder: Path, trained: list[int]) -> None:
    out = folder / "disk"
    first = run(quick(folder), out=out, device="cpu", seeds=[1, 2], head_analysis=5)
    assert len(trained) == 6
    assert first.first.chosen > 0
    assert len(checkpoints(out)) == 2
    assert not list(out.rglob("state"))
    assert run(quick(folder), out=out, device="cpu", seeds=[1, 2], head_analysis=5) == first
    assert len(trained) == 6
    more = run(quick(folder), out=out, device="cpu", seeds=[1, 2, 3], head_analysis=5)
    assert len(trained) == 9, "the model that is saved is taken from where it was saved"
    assert more.cells[:2] == first.cells
    (out / "heads.json").unlink()
    run(quick(folder), out=out, device="cpu", seeds=[1, 2, 3], head_analysis=6)
    assert len(trained) == 9
    assert len(checkpoints(out)) == 2


def wide(folder: Path, **changes: Any) -> RunSettings:
    search = {"how": "sweep", "max_pruned": 5, "include_zero": False, **changes.pop("search", {})}
    return settings(folder, train={"epochs": 1}, search=search, **changes)


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of checkpoints on disk after each one that is written."""
    found: list[int] = []
    save = finetunes.save_pruned

    def counted(model: Any, place: Path, **options: Any) -> Any:
        done = save(model, place, **options)
        found.append(len(checkpoints(place.parents[2])))
        return done

    monkeypatch.setattr(finetunes, "save_pruned", counted)
    return found


@pytest.mark.parametrize(
    "changes",
    [{}, {"search": {"prune": "after"}}, {"search": {"objective": "within:0.5"}}, {"protocol": "paper"}],
    ids=["best", "after", "within", "paper"],
)
def test_during_a_run_no_more_lie_there_than_are_needed(
    changes: dict[str, Any], folder: Path, trained: list[int], most: list[int], request: pytest.FixtureRequest
) -> None:
    out = folder / f"peak-{request.node.callspec.id}"
    wanted = wide(folder, **changes)
    run(wanted, out=out, device="cpu", seeds=[1, 2], controls=["random"], head_analysis=0)
    assert len(most) == len(list(out.glob("fits/*/record.json"))), "nothing is trained or pruned twice"
    assert len(trained) == (2 if wanted.search.prune == "after" else len(most))
    assert max(most[:6]) <= 3, "the unpruned one, the best so far, and the one just trained"
    assert max(most) <= 5, "beside these the unpruned and the chosen one of the first seed"


def test_a_run_stopped_in_a_later_search_trains_nothing_again(
    folder: Path, trained: list[int], most: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, fit = folder / "stopped", finetunes.fit

    def stopped(*args: Any, **kwargs: Any) -> Any:
        if len(trained) == 10:
            raise KeyboardInterrupt
        return fit(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(finetunes, "fit", stopped)
        with pytest.raises(KeyboardInterrupt):
            run(wide(folder), out=out, device="cpu", seeds=[1, 2], head_analysis=0)
    run(wide(folder), out=out, device="cpu", seeds=[1, 2], head_analysis=0)
    assert len(trained) == len(list(out.glob("fits/*/record.json"))) == 12
    assert max(most) <= 5


def test_the_pool_of_re_seeded_runs_keeps_no_checkpoint(
    folder: Path, trained: list[int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    out, most = folder / "pool", 0
    tested = run.__globals__["run_cell"].__globals__["tested"]

    def counted(*args: Any) -> Any:
        nonlocal most
        most = max(most, len(checkpoints(out)))
        return tested(*args)

    monkeypatch.setattr("polyhead.studies.summary.tested", counted)
    with caplog.at_level(logging.INFO):
        record = run(quick(folder), out=out, device="cpu", controls=["noise"], head_analysis=0)
    assert most == 3, "the first seed's unpruned and chosen models, and the one that is scored"
    assert record.noise is not None
    assert sum("noise: unpruned model" in line for line in caplog.messages) == len(record.noise.seeds)


def test_other_versions_are_named_once(folder: Path, trained: list[int], caplog: pytest.LogCaptureFixture) -> None:
    out = folder / "versions"
    run(quick(folder), out=out, device="cpu", head_analysis=0)
    for path in out.glob("fits/*/record.json"):
        content = json.loads(path.read_text())
        content["result"]["machine"]["threads"] = "99"
        path.write_text(json.dumps(content))
        remember(path.parent, path.name)
    (out / "result.json").unlink()
    with caplog.at_level(logging.WARNING):
        run(quick(folder), out=out, device="cpu", head_analysis=0)
    assert len(trained) == 3
    assert [line.partition(" after ")[2] for line in caplog.messages] == ["starting with 99: last digits may differ"]


def raised(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    stage = stages.STAGES[name]
    monkeypatch.setitem(stages.STAGES, name, Stage(stage.version + 1, stage.files))


def test_no_number_of_an_older_stage_comes_back(folder: Path, trained: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    out = folder / "stages"
    first = run(quick(folder), out=out, device="cpu", head_analysis=0)
    n = len(trained)
    files = {name: {path.name for path in out.glob(f"fits/*/{name}-*")} for name in ("figures", "scores")}

    raised(monkeypatch, "scoring")
    again = run(quick(folder), out=out, device="cpu", head_analysis=0)
    assert again.stages["scoring"] == first.stages["scoring"] + 1
    assert {path.name for path in out.glob("fits/*/scores-*")} > files["scores"]
    assert len(trained) == n
    raised(monkeypatch, "evaluation")
    run(quick(folder), out=out, device="cpu", head_analysis=0)
    assert len({path.name for path in out.glob("fits/*/figures-*")}) == 2 * len(files["figures"])
    n = len(trained)
    raised(monkeypatch, "training")
    run(quick(folder), out=out, device="cpu", head_analysis=0)
    assert len(trained) == n + 3


@pytest.mark.parametrize("name", ["selection", "statistics"])
def test_a_finished_run_is_computed_again_where_its_choice_or_statistics_changed(
    name: str, folder: Path, trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = folder / f"new-{name}"
    first = run(quick(folder), out=out, device="cpu", head_analysis=0)
    n, before = len(trained), {path: path.stat().st_mtime_ns for path in out.glob("fits/*/*.json")}
    place = {"selection": "polyhead.selection.trials.choose", "statistics": "polyhead.selection.gains.mean_over_seeds"}[name]
    changed = {
        "selection": lambda trials, loss, **options: (first.first.chosen, "for another reason"),
        "statistics": lambda *args, **options: SeedMean(7.0, (7.0,), None, None, None, None),
    }[name]
    monkeypatch.setattr(place, changed)
    assert run(quick(folder), out=out, device="cpu", head_analysis=0) == first
    raised(monkeypatch, name)
    again = run(quick(folder), out=out, device="cpu", head_analysis=0)
    if name == "selection":
        assert again.first.chosen_reason.endswith("for another reason")
    else:
        assert {row.gain for row in again.statistics} == {7.0}
    assert again.cells[0].targets == first.cells[0].targets
    assert len(trained) == n
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_folder_with_nothing_but_a_lock_is_fresh(folder: Path, trained: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    out = folder / "locked"
    (out / "fits").mkdir(parents=True)
    (out / "fits" / ".lock").touch()
    assert run(quick(folder), out=out, device="cpu", head_analysis=0).cells
    (folder / "mine" / "fits").mkdir(parents=True)
    (folder / "mine" / "notes.txt").write_text("keep")
    monkeypatch.setattr("polyhead.studies.run.open_inputs", lambda settings: pytest.fail("data are read first"))
    with pytest.raises(StoreError, match=r"is not empty and not a run's folder \(notes\.txt\)"):
        run(quick(folder), out=folder / "mine", device="cpu", head_analysis=0)


def test_a_drawing_that_aborts_spoils_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A picture engine that ends its process, as one does that may not reserve memory."""
    engine = folder / "engine"
    engine.mkdir()
    (engine / "altair.py").write_text("import os\nos.abort()\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(engine), os.environ.get("PYTHONPATH", "")]))
    out = folder / "aborted"
    with caplog.at_level(logging.WARNING):
        record = run(quick(folder), out=out, device="cpu", head_analysis=5)
    assert finished_run(out).record == record
    assert (out / "heads.json").is_file()
    assert "![" not in (out / "report.md").read_text(encoding="utf-8")
    assert not (out / "report.html").exists()
    (line,) = [line for line in caplog.messages if "no page" in line]
    assert f"polyhead report {out}" in line


def test_pictures_are_drawn_by_another_process(folder: Path) -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    out = folder / "drawn"
    run(quick(folder), out=out, device="cpu", head_analysis=0)
    assert (out / "report.html").is_file()
    assert "![heads × layers](heads.svg)" in (out / "report.md").read_text(encoding="utf-8")
    (out / "report.html").unlink()
    subprocess.run([sys.executable, "-m", "polyhead.report.draw", str(out)], check=True)
    assert (out / "report.html").is_file()


def test_fine_tunings_of_another_commit_are_not_used_again(
    folder: Path, trained: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = iter(("0" * 40, "1" * 40))
    monkeypatch.setattr("polyhead.studies.run.model_hash", lambda name, *, revision: next(commits))
    for number in (1, 2):
        run(quick(folder), out=folder / "moved", device="cpu", head_analysis=0)
        assert len(trained) == 3 * number
