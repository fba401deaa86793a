"""The nested search: one fine-tuning for all k, a pruned model equal to its masked self, and a gain over the ordinary one."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_run import settings, tiny_data
from transformers import AutoConfig, AutoModelForMaskedLM

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.heads import HeadMask
from polyhead.models.loading import load_saved, load_tokenizer
from polyhead.models.model_heads import head_mask
from polyhead.report.record import RunRecord
from polyhead.studies import evaluations, finetunes, nested_search
from polyhead.studies.run import run
from polyhead.studies.settings import RunSettings, run_settings

SEARCH = {"how": "nested", "max_pruned": 4, "objective": "within:100"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_data(tmp_path_factory.mktemp("run"))


def nested(folder: Path, **search: object) -> RunSettings:
    return settings(folder, train={"epochs": 1}, search=SEARCH | search)


@pytest.fixture(scope="module")
def done(folder: Path) -> RunRecord:
    return run(nested(folder), out=folder / "done", seeds=[1, 2, 3], controls=["random"], device="cpu", head_analysis=0)


def numbers(record: RunRecord) -> object:
    cells = [
        (cell.seed, cell.arm, cell.chosen, cell.ranking, [(t.k, t.dev, t.heads) for t in cell.trials], cell.targets)
        for cell in record.cells
    ]
    return cells, record.statistics


def test_two_fine_tunings_serve_every_k(done: RunRecord, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {cell.fine_tunings for cell in done.cells} == {2}
    assert [[trial.k for trial in cell.trials] for cell in done.cells] == [[0, 1, 2, 3, 4]] * 6
    trained: list[object] = []
    fit = finetunes.fit
    monkeypatch.setattr(finetunes, "fit", lambda *args, **kwargs: trained.append(kwargs["mask"]) or fit(*args, **kwargs))
    again = run(nested(folder), out=folder / "counted", seeds=[1], controls=["random"], device="cpu", head_analysis=0)
    assert [mask is None for mask in trained] == [True, False, False], "the ordinary one, and a nested one for each order"
    assert numbers(again.model_copy(update={"statistics": []})) == (numbers(done)[0][:2], [])  # type: ignore[index]


def test_the_model_kept_is_pruned_and_labels_like_its_masked_self(
    done: RunRecord, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = done.first
    assert first.chosen == 4
    model = load_saved(folder / "done" / "model")
    assert sorted(map(str, head_mask(model).pruned)) == sorted(first.trials[-1].heads)
    real = nested_search.predict

    def other(*args: Any, mask: HeadMask | None, **kwargs: Any) -> list[list[str]]:
        found = real(*args, mask=mask, **kwargs)
        return found if mask is None else [["X" for _ in sentence] for sentence in found]

    monkeypatch.setattr(nested_search, "predict", other)
    with pytest.raises(StoreError, match=r"with k = 4 heads pruned, the model labels (\d+) of \1 dev words otherwise than with"):
        run(nested(folder), out=folder / "other", seeds=[1], device="cpu", head_analysis=0)


def test_one_rounded_word_moves_a_span_and_stops_nothing(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With twelve spans in dev, one word is eight points."""
    files = [tmp_path / f"{split}.tsv" for split in ("train", "dev", "test")]
    for file, verb in zip(files, ("runs", "sleeps", "geht"), strict=True):
        file.write_text(f"dog\tB-PER\n{verb}\tO\nhouse\tB-LOC\n\n" * 6, encoding="utf-8")
    real, made = nested_search.predict, nested_search.nested_fit

    def rounded(*args: Any, mask: HeadMask | None, **kwargs: Any) -> list[list[str]]:
        found = real(*args, mask=mask, **kwargs)
        return found if mask is None else [["another", *found[0][1:]], *found[1:]]

    def moved(*args: Any) -> nested_search.NestedFit:
        found = made(*args)
        return replace(found, dev={k: score + 8 for k, score in found.dev.items()})

    monkeypatch.setattr(nested_search, "predict", rounded)
    monkeypatch.setattr("polyhead.studies.cell.nested_fit", moved)
    spec = run_settings(
        model=folder / "encoder",
        task="ner",
        scheme="iob2",
        sources=[f"en={files[0]}:{files[1]}"],
        targets=[f"de={files[2]}"],
        train={"epochs": 1, "precision": "fp32"},
        search=SEARCH,
    )
    assert run(spec, out=tmp_path / "out", seeds=[1], device="cpu", head_analysis=0).first.chosen == 4


def test_the_claim_is_over_the_ordinary_fine_tuning_and_the_mask_over_its_own(done: RunRecord, folder: Path) -> None:
    for row in done.statistics:
        if row.arm != "ranked":
            assert row.of_mask is None
            continue
        assert row.of_mask is not None
        own = [cell for cell in done.cells if cell.arm == row.arm]
        targets = [target for cell in own for target in cell.targets if row.name in (None, target.name)]
        assert all(target.nested_unpruned is not None for target in targets)
        size = len(targets) // 3
        gains = [target.pruned["accuracy"] - target.unpruned["accuracy"] for target in targets]
        masks = [target.pruned["accuracy"] - target.nested_unpruned["accuracy"] for target in targets]  # type: ignore[index]
        by_seed = [sum(gains[i * size : (i + 1) * size]) / size for i in range(3)]
        assert row.by_seed == pytest.approx(by_seed)
        assert row.of_mask.by_seed == pytest.approx([sum(masks[i * size : (i + 1) * size]) / size for i in range(3)])
    assert {target.nested_unpruned for cell in done.cells if cell.arm == "random" for target in cell.targets} == {None}
    ranked = next(row for row in done.statistics if row.arm == "ranked" and row.name is None)
    contrast = next(row for row in done.statistics if row.arm == "ranked - random" and row.name is None)
    assert ranked.gain_minus_noise is not None, "random heads under the same search stand for the pool"
    assert ranked.gain_minus_noise.value == pytest.approx(contrast.gain)
    page = (folder / "done" / "report.md").read_text(encoding="utf-8")
    assert "## Effect of the masks alone" in page
    assert "| 4, 4, 4 | 2, 2, 2 |" in page


def test_models_under_nested_masks_read_the_drawn_sentences_of_dev_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[tuple[bool, int]] = []
    real = finetunes.figures_once

    def once(context: Any, where: Path, data: Any, *rest: Any) -> Any:
        read.append((data is context.inputs.tests, sum(own.encoded.n_sentences for own in data.values())))
        return real(context, where, data, *rest)

    monkeypatch.setattr(evaluations, "SENTENCES", 10)
    monkeypatch.setattr(finetunes, "figures_once", once)
    run(nested(folder), out=folder / "drawn", seeds=[1], device="cpu", head_analysis=0)
    assert [n for tests, n in read if not tests] == [30, 10, 10], "the ordinary fine-tuning, the nested one, and it pruned"


def test_no_pool_of_separate_models_stands_against_masks_of_one(folder: Path) -> None:
    record = run(nested(folder), out=folder / "noise", seeds=[1], controls=["noise"], device="cpu", head_analysis=0)
    assert record.noise is None


def test_agreement_chooses_on_target_text_without_its_labels(folder: Path) -> None:
    blank = folder / "de-blank.conllu"
    rows = [line.split("\t") for line in (folder / "de-dev.conllu").read_text(encoding="utf-8").splitlines()]
    blank.write_text("\n".join("\t".join([*r[:3], "_", *r[4:]]) if len(r) == 10 else "" for r in rows) + "\n", encoding="utf-8")
    spec = replace(
        nested(folder, objective="within:30"),
        targets=(f"de={blank}:{folder}/de-test.conllu",),
        select_on="agreement",
    )
    record = run(spec, out=folder / "agreement", seeds=[1], device="cpu", head_analysis=0)
    scores = {trial.k: trial.dev for trial in record.first.trials}
    assert scores[0] == 100
    assert all(0 <= score <= 100 for score in scores.values())
    assert record.first.chosen == max(k for k, score in scores.items() if score >= 70)
    page = (folder / "agreement" / "report.md").read_text(encoding="utf-8")
    assert "share of the targets' words" in page


@pytest.mark.parametrize("search", [{"objective": "best"}, {"how": "sweep"}])
def test_agreement_needs_one_model_and_a_bound(search: dict[str, str], folder: Path) -> None:
    with pytest.raises(SettingError, match="use search nested and objective within:X"):
        replace(nested(folder, **search), select_on="agreement")


def test_choosing_no_head_keeps_the_ordinary_fine_tuning(folder: Path) -> None:
    record = run(nested(folder, max_pruned=0), out=folder / "none", seeds=[1], device="cpu", head_analysis=0)
    target = record.first.targets[0]
    assert record.first.chosen == 0
    assert target.pruned == target.unpruned
    assert all(row.gain == 0 and row.of_mask is None for row in record.statistics)


@pytest.mark.parametrize("changes", [{"protocol": "paper"}, {"protocol": "paper-released"}])
def test_protocols_that_compare_fine_tunings_refuse_it(changes: dict[str, str], folder: Path) -> None:
    with pytest.raises(SettingError, match="compares separate fine-tunings; use sweep"):
        replace(nested(folder), **changes)  # type: ignore[arg-type]


_RUN = """
import sys
from pathlib import Path
from polyhead.learning.training_state import TrainingState
from studies.test_nested_search import nested
from polyhead.studies.run import run
TrainingState.is_due = lambda self: True
folder = Path(sys.argv[1])
run(nested(folder), out=folder / "killed", seeds=[1, 2, 3], controls=["random"], device="cpu", head_analysis=0)
"""


@pytest.mark.slow
def test_killed_at_any_moment_it_ends_with_the_same_numbers(done: RunRecord, folder: Path) -> None:
    places = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    for seconds in (6, 7, 8, 9):
        process = subprocess.Popen([sys.executable, "-c", _RUN, str(folder)], env={**os.environ, "PYTHONPATH": places})
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
    last = run(nested(folder), out=folder / "killed", seeds=[1, 2, 3], controls=["random"], device="cpu", head_analysis=0)
    assert numbers(last) == numbers(done)


@pytest.mark.parametrize("how", ["nested", "sweep", "screened"])
def test_heads_that_share_a_key_are_tried_and_pruned_together(folder: Path, tmp_path: Path, how: str) -> None:
    shutil.copytree(folder / "encoder", tmp_path / "encoder")
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "max_position_embeddings": 70}
    words = len(load_tokenizer(folder / "encoder"))
    config = AutoConfig.for_model(
        "eurobert", vocab_size=words, num_attention_heads=4, num_key_value_heads=2, pad_token_id=1, mask_token_id=3, **sizes
    )
    AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path / "encoder")
    grouped = replace(nested(folder, how=how), model=str(tmp_path / "encoder"))
    record = run(grouped, out=tmp_path / how, seeds=[1], device="cpu", head_analysis=0)
    assert {trial.k for trial in record.first.trials} <= {0, 2, 4}
    assert record.first.chosen == head_mask(load_saved(tmp_path / how / "model")).n_pruned == 4
    assert all(len(trial.heads) == trial.k for trial in record.first.trials)
