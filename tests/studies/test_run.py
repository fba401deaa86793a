"""The whole main job on tiny data: what it leaves, that it continues, and what it refuses."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_run import settings, tiny_data, write_treebank
from transformers import AutoModelForTokenClassification

from polyhead.core.errors import SettingError, StoreError, UnknownNameError
from polyhead.core.store import Record, RunStore
from polyhead.models.model_heads import head_mask
from polyhead.report.document import read_document
from polyhead.report.record import RunRecord
from polyhead.studies.inputs import open_inputs
from polyhead.studies.record import Clock
from polyhead.studies.run import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_data(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def done(folder: Path) -> tuple[Path, RunRecord]:
    out = folder / "out"
    return out, run(settings(folder), out=out, device="cpu")


def test_leaves_every_promised_file(done: tuple[Path, RunRecord]) -> None:
    out, result = done
    assert read_document(out / "result.json", RunRecord) == result
    assert {"report.md", "scores.tsv", "model", "result.json"} <= {path.name for path in out.iterdir()}
    trials = result.first.trials
    assert trials[0].k == 0
    assert [len(trial.heads) for trial in trials] == [trial.k for trial in trials]
    assert len(trials) <= 5
    assert all(0 <= target.unpruned["accuracy"] <= 100 for target in result.first.targets)
    assert result.environment["threads"] == torch.get_num_threads()
    assert all(len(item.sha256) == 64 for item in result.data)


def test_the_saved_model_is_the_one_reported(done: tuple[Path, RunRecord]) -> None:
    out, result = done
    model = AutoModelForTokenClassification.from_pretrained(out / "model")
    chosen = next(trial for trial in result.first.trials if trial.k == result.first.chosen)
    assert [str(head) for head in head_mask(model).pruned] == chosen.heads


def test_the_lowest_ranked_heads_go(done: tuple[Path, RunRecord]) -> None:
    _, result = done
    scores = np.array(result.first.scores)
    for trial in result.first.trials:
        gone = [scores[tuple(map(int, head.split(".")))] for head in trial.heads]
        assert sorted(gone) == sorted(scores.ravel())[: trial.k]


def test_again_elsewhere_gives_the_same(done: tuple[Path, RunRecord], folder: Path) -> None:
    out, first = done
    before = sorted(path.name for path in (out / "fits").iterdir())
    second = run(settings(folder), out=folder / "second", device="cpu")
    assert figures(first) == figures(second)
    assert sorted(path.name for path in (folder / "second" / "fits").iterdir()) == before


def test_a_finished_run_is_not_done_again(done: tuple[Path, RunRecord], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, first = done

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("trained")

    monkeypatch.setattr("polyhead.studies.finetunes.fit", refuse)
    assert run(settings(folder), out=out, device="cpu") == first


def test_changed_test_data_is_scored_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = write_treebank(folder / "moving.conllu", "de", n=10, seed=5)
    spec = type(settings(folder))(**{**settings(folder, train={"epochs": 1}).__dict__, "targets": (f"de={copy}",)})
    first = run(spec, out=folder / "moving", device="cpu")
    write_treebank(copy, "de", n=12, seed=6)
    second = run(spec, out=folder / "moving", device="cpu")
    assert first.data[-1].sha256 != second.data[-1].sha256
    assert first.first.targets[0].n_words != second.first.targets[0].n_words
    assert figures(first)[0] == figures(second)[0]


@pytest.mark.parametrize("select_on", ["target-dev", "pooled"])
def test_what_chooses_k_does_not_change_the_ranking(folder: Path, done: tuple[Path, RunRecord], select_on: Any) -> None:
    spec = settings(folder, select_on=select_on)
    dev = f"de={folder}/de-dev.conllu:{folder}/de-test.conllu"
    result = run(type(spec)(**{**spec.__dict__, "targets": (dev,)}), out=folder / select_on, device="cpu")
    assert result.first.scores == done[1].first.scores
    assert result.first.trials[0].dev != done[1].first.trials[0].dev


def figures(record: RunRecord) -> tuple[list[Any], list[Any]]:
    """The trials and the test scores, without what may differ between equal runs."""
    trials = [(trial.k, trial.heads, trial.dev) for trial in record.first.trials]
    return trials, [(target.k, target.unpruned, target.pruned) for target in record.first.targets]


def test_more_seeds_and_controls_are_added(folder: Path) -> None:
    out = folder / "more"
    small = settings(folder, train={"epochs": 1}, search={"how": "sweep", "max_pruned": 1}, normalisation="paper")
    run(small, out=out, device="cpu", seeds=[1])
    result = run(small, out=out, device="cpu", seeds=[1, 2], controls=["random", "highest", "depth"])
    assert [(cell.seed, cell.arm) for cell in result.cells] == [
        (seed, arm) for seed in (1, 2) for arm in ("ranked", "random", "highest", "depth")
    ]
    arms = {row.arm for row in result.statistics}
    assert arms == {"ranked", *(name for arm in ("random", "highest", "depth") for name in (arm, f"ranked - {arm}"))}
    by_arm = {cell.arm: cell for cell in result.cells if cell.seed == 1}
    assert by_arm["highest"].ranking[0] == by_arm["ranked"].ranking[-1]
    layers = [int(head.split(".")[0]) for head in map(str, by_arm["depth"].ranking)]
    assert layers == sorted(layers, reverse=True)
    with pytest.raises(StoreError, match="name them too"):
        run(small, out=out, device="cpu", seeds=[2])


def test_the_time_of_earlier_processes_counts(tmp_path: Path) -> None:
    with RunStore(tmp_path, "settings") as store:
        store.put(Record({"seed": 1}, {"seconds": 1000.0, "fit": {}}))
        clock = Clock(store)
        store.put(Record({"seed": 2}, {"seconds": 500.5, "fit": {"seconds_before": 500.0}}))
        assert 1500 <= clock.seconds() < 1600


def test_other_settings_are_refused(done: tuple[Path, RunRecord], folder: Path) -> None:
    out, _ = done
    with pytest.raises(StoreError, match="epochs"):
        run(settings(folder, train={"epochs": 1}), out=out, device="cpu")


def test_ranking_and_selection_never_see_a_test_split(folder: Path) -> None:
    """Test files that are not even labelled leave scores, trials and the choice as they are."""
    inputs = open_inputs(settings(folder))
    tested = {data.encoded for data in inputs.tests.values()}
    assert not tested & {data.encoded for data in (*inputs.selection.values(), *inputs.source_dev.values())}
    assert not tested & {inputs.train}
    used = {record.sha256: record.split for record in inputs.records}
    assert sorted(used.values()) == ["dev", "test", "test", "train"]  # no two splits are the same text
    blank = folder / "blank.conllu"
    text = (folder / "en-test.conllu").read_text()
    blank.write_text("\n".join(line.replace(line.split("\t")[3], "X") if "\t" in line else line for line in text.split("\n")))
    plain = run(settings(folder, train={"epochs": 1}), out=folder / "plain", device="cpu")
    other = settings(folder, train={"epochs": 1})
    changed = type(other)(**{**other.__dict__, "targets": (f"en={blank}",)})
    swapped = run(changed, out=folder / "swapped", device="cpu")
    assert plain.first.scores == swapped.first.scores
    assert figures(plain)[0] == figures(swapped)[0]
    assert plain.first.targets[0].unpruned["accuracy"] > swapped.first.targets[0].unpruned["accuracy"]


@pytest.mark.parametrize("protocol", ["paper", "paper-released"])
def test_the_papers_protocols(folder: Path, protocol: Any) -> None:
    spec = settings(folder, protocol=protocol, search={"max_pruned": 2}, train={"epochs": 1})
    result = run(spec, out=folder / protocol, device="cpu")
    assert [trial.k for trial in result.first.trials] == [0, 1, 2]
    for target in result.first.targets:
        best = max(trial.tests[target.name] for trial in result.first.trials[1:] if trial.tests)
        assert target.k > 0
        assert target.pruned["accuracy"] == pytest.approx(best)
    model = AutoModelForTokenClassification.from_pretrained(folder / protocol / "model")
    assert (head_mask(model).n_pruned == 0) == (protocol == "paper-released"), "the released code evaluates with all heads on"


def test_pruning_after_training_trains_once(folder: Path) -> None:
    result = run(settings(folder, search={"prune": "after"}), out=folder / "after", device="cpu", controls=["noise"])
    records = [json.loads(path.read_text()) for path in (folder / "after" / "fits").glob("*/record.json")]
    assert sum(bool(record["result"]["fit"]) for record in records) == 1
    assert result.first.fine_tunings == 0
    assert result.noise is None, "masks of one model share its training, so re-seeded models are no null of theirs"
    assert "`--controls random` adds a substitute" in (folder / "after" / "report.md").read_text()


def test_selection_noise_needs_ten_unpruned_runs(folder: Path) -> None:
    spec = settings(folder, train={"epochs": 1}, search={"how": "sweep", "max_pruned": 1, "include_zero": False})
    result = run(spec, out=folder / "noise", device="cpu", controls=["noise"])
    assert result.noise is not None
    assert len(result.noise.seeds) == 10
    assert all(row.noise is not None for row in result.statistics if not row.none_pruned)
    assert "1 seed: no claim" in (folder / "noise" / "report.md").read_text()
    assert "1 seed: no claim" in (folder / "noise" / "model" / "README.md").read_text()


def test_bad_settings(folder: Path) -> None:
    good = settings(folder)
    with pytest.raises(SettingError, match="source"):
        run(type(good)(**{**good.__dict__, "sources": ()}), out=folder / "bad", device="cpu")
    with pytest.raises(SettingError, match="given 2 times"):
        run(type(good)(**{**good.__dict__, "targets": good.targets[:1] * 2}), out=folder / "bad", device="cpu")
    with pytest.raises(SettingError, match="9 heads to prune"):
        run(settings(folder, search={"max_pruned": 9}), out=folder / "bad9", device="cpu")
    assert not (folder / "bad").exists()
    assert not (folder / "bad9").exists()
    for wrong, match in (
        ({"method": "gradeint"}, "method 'gradeint': did you mean 'gradient'"),
        ({"method": "ablation", "normalisation": "paper"}, "method ablation: its scores may be negative"),
        ({"method": "entropy", "protocol": "paper"}, "method entropy: its scores may be negative"),
        ({"normalisation": "papr"}, "normalisation"),
        ({"select_on": "target"}, "select_on"),
        ({"train_limit": 0}, "train_limit"),
        ({"protocol": "paper-released", "search": {"prune": "after"}}, "masks heads while training"),
        ({"protocol": "paper", "search": {"max_pruned": 0}}, "reports the best of"),
    ):
        with pytest.raises((SettingError, UnknownNameError), match=match):
            run(settings(folder, **wrong), out=folder / "wrong", device="cpu")
    with pytest.raises(SettingError, match="seed"):
        run(good, out=folder / "wrong", device="cpu", seeds=[2**40])
    with pytest.raises(SettingError, match=r"head_analysis = 1\.5: should be a whole number"):
        run(good, out=folder / "wrong", device="cpu", head_analysis=1.5)  # type: ignore[arg-type]
    (folder / "mine").mkdir(exist_ok=True)
    (folder / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(StoreError, match="not empty"):
        run(good, out=folder / "mine", device="cpu")


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_numbers(done: tuple[Path, RunRecord], folder: Path) -> None:
    _, wanted = done
    out = folder / "killed"
    script = f"""
import sys; sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parent.parent)]!r}
import torch; torch.set_num_threads({torch.get_num_threads()})
from pathlib import Path
from tiny_run import settings
from polyhead.studies.run import run
run(settings(Path({str(folder)!r})), out={str(out)!r}, device="cpu")
"""
    rng, ends = np.random.default_rng(0), []
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while not (out / "fits").is_dir() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(float(rng.uniform(0, 2)))
        process.kill()
        ends.append(process.wait())
    assert -signal.SIGKILL in ends  # at least one was still at work
    subprocess.run([sys.executable, "-c", script], check=True)
    assert {"report.md", "scores.tsv", "model", "result.json"} <= {path.name for path in out.iterdir()}
    assert not [path for path in out.rglob(".*") if path.is_dir()]  # what kills left half-written is gone
    assert figures(read_document(out / "result.json", RunRecord)) == figures(wanted)
