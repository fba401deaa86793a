"""What a run refuses before it trains, what it keeps, and what its statistics count as one table."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tiny_run import settings, tiny_data, write_treebank

from polyhead.core.errors import DataFormatError, SettingError
from polyhead.core.heads import HeadScores
from polyhead.importance.methods import score_heads
from polyhead.selection.statistics import holm
from polyhead.studies.evaluations import pooled
from polyhead.studies.run import run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_data(tmp_path_factory.mktemp("run"))


QUICK = {"train": {"epochs": 1}, "search": {"how": "sweep", "max_pruned": 1, "include_zero": False}}


def fits(out: Path) -> set[str]:
    return {path.parent.name for path in (out / "fits").glob("*/record.json")}


def test_a_test_file_must_not_be_one_that_was_seen(folder: Path) -> None:
    leaked = [f"de={folder}/en-dev.conllu"]
    with pytest.raises(SettingError, match="its test file is the dev file of"):
        run(settings(folder, targets=leaked), out=folder / "leaked", device="cpu")
    shutil.copy(folder / "en-train.conllu", folder / "copy.conllu")
    with pytest.raises(SettingError, match="its test file is the train file of"):
        run(settings(folder, targets=[f"de={folder}/copy.conllu"]), out=folder / "leaked", device="cpu")
    assert not (folder / "leaked").exists()


def test_a_dev_file_must_not_be_one_that_is_trained_on(folder: Path) -> None:
    shutil.copy(folder / "en-train.conllu", folder / "same.conllu")
    own = [f"en={folder}/en-train.conllu:{folder}/same.conllu"]
    with pytest.raises(SettingError, match=r"its dev file is its train file; .*, or none, and a tenth of train is held out"):
        run(settings(folder, sources=own), out=folder / "same", device="cpu")
    assert not (folder / "same").exists()


def test_a_source_without_labels_is_refused(folder: Path) -> None:
    bare = folder / "bare.conllu"
    text = (folder / "en-train.conllu").read_text()
    bare.write_text(
        "\n".join("\t".join(["_" if i == 3 else c for i, c in enumerate(line.split("\t"))]) for line in text.split("\n"))
    )
    sources = [f"en={bare}:{folder}/en-dev.conllu:"]
    with pytest.raises(DataFormatError, match=r"bare\.conllu:1: no word of the train split has a label"):
        run(settings(folder, sources=sources), out=folder / "unlabelled", device="cpu")


def test_long_scoring_goes_on_after_a_stop_and_is_told_how_many_heads_may_go(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict[str, Any]] = []

    def scored(name: str, model: Any, batches: Any, **options: Any) -> HeadScores:
        told.append(options)
        found = score_heads(name, model, batches, **options)
        if len(told) == 1:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr("polyhead.studies.cell.score_heads", scored)
    own = settings(folder, method="l0", train={"epochs": 1}, search={"how": "sweep", "max_pruned": 3, "include_zero": False})
    with pytest.raises(KeyboardInterrupt):
        run(own, out=folder / "stopped", device="cpu")
    assert told[0]["options"] == {"n_lowest": 3}
    assert told[0]["resume_file"].is_file(), "the disk may be full after hours of scoring"
    run(own, out=folder / "stopped", device="cpu")
    assert told[1]["resume_file"] == told[0]["resume_file"]
    assert not list((folder / "stopped").rglob("*.partial"))


def test_contrasts_are_one_family(folder: Path) -> None:
    result = run(settings(folder, **QUICK), out=folder / "family", device="cpu", seeds=[1, 2], controls=["random", "highest"])
    for family in (
        [row for row in result.statistics if row.arm == "ranked"],
        [row for row in result.statistics if " - " in row.arm],
    ):
        tested = [row for row in family if row.p is not None]
        assert [row.p_holm for row in tested] == pytest.approx(holm([row.p for row in tested if row.p is not None]))
    assert {row.arm for row in result.statistics if " - " in row.arm} == {"ranked - random", "ranked - highest"}


def test_another_encoder_in_the_same_place_is_another_run(folder: Path) -> None:
    shutil.copytree(folder / "encoder", folder / "moved")
    spec = settings(folder, **QUICK)
    spec = type(spec)(**{**spec.__dict__, "model": str(folder / "moved")})
    first = run(spec, out=folder / "swap", device="cpu")
    done = fits(folder / "swap")
    config = folder / "moved" / "config.json"
    config.write_text(config.read_text().replace('"hidden_dropout_prob": 0.1', '"hidden_dropout_prob": 0.2'))
    again = run(spec, out=folder / "swap", device="cpu")
    assert fits(folder / "swap") > done
    assert again.model_hash != first.model_hash


def test_what_is_missing_is_written_again(folder: Path) -> None:
    out = folder / "missing"
    spec = settings(folder, **QUICK)
    first = run(spec, out=out, device="cpu")
    done = fits(out)
    for name in ("result.json", "report.md", "scores.tsv", "model"):
        path = out / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        again = run(spec, out=out, device="cpu")
        assert path.exists()
        assert again.first.targets == first.first.targets
    assert fits(out) == done


def test_more_controls_train_nothing_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = folder / "added"
    spec = settings(folder, **QUICK)
    run(spec, out=out, device="cpu")
    done, trained = fits(out), []
    fit = run.__globals__["run_cell"].__globals__["fine_tuned"].__globals__["fit"]
    monkeypatch.setattr("polyhead.studies.finetunes.fit", lambda *args, **kwargs: trained.append(1) or fit(*args, **kwargs))
    run(spec, out=out, device="cpu", controls=["highest"])
    assert len(trained) == len(fits(out) - done) > 0


def test_dev_scores_are_pooled_by_language() -> None:
    context: Any = SimpleNamespace(inputs=SimpleNamespace(languages={"a": "en", "b": "en", "c": "de"}))
    assert pooled(context, {"a": 0.2, "b": 0.4, "c": 0.9}) == pytest.approx(0.6)


def test_half_written_models_are_swept_away(folder: Path) -> None:
    out = folder / "swept"
    spec = settings(folder, **QUICK)
    run(spec, out=out, device="cpu")
    (out / "result.json").unlink()
    (out / ".model.abcd1234.tmp" / "new").mkdir(parents=True)
    run(spec, out=out, device="cpu")
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_english_may_be_source_and_target(folder: Path) -> None:
    write_treebank(folder / "other.conllu", "en", n=10, seed=99)
    result = run(settings(folder, targets=[f"en={folder}/other.conllu"], **QUICK), out=folder / "same", device="cpu")
    assert [target.language for target in result.first.targets] == ["en"]
