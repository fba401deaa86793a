"""What a few labels are worth: each arm on a tiny model, and the table from cells whose gains are known."""

from dataclasses import replace
from pathlib import Path

import few_label_arms
import numpy as np
import page_tables
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import tiny_model
from e5 import keep
from few_label_arms import Gating, Tuning, by_sign, folded, learnt_gates, pruned, tuned
from few_labels import ARMS, Design, first, name_of, settings
from few_labels_table import table
from numpy.typing import NDArray

from polyhead.core.heads import HeadMask
from polyhead.data.sentences import Dataset, Sentence
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.losses import word_loss
from polyhead.learning.training import fit
from polyhead.models.gates import gated

SENTENCES, WORDS = 40, 100


def mean_loss(model: torch.nn.Module) -> float:
    with torch.no_grad():
        return float(np.mean([word_loss(model, batch).item() for batch in scoring_batches(tiny_encoded())]))  # type: ignore[arg-type]


def test_smaller_draws_are_inside_larger_ones_and_seeds_differ() -> None:
    data = Dataset("x", "en", "train", tuple(Sentence((str(i),), (None,), "en", f"x:{i}") for i in range(200)))
    drawn = {(n, seed): [one.words[0] for one in first(data, n, seed=seed)] for n in (10, 25, 100) for seed in (42, 43)}
    assert drawn[100, 42][:25] == drawn[25, 42]
    assert drawn[25, 42][:10] == drawn[10, 42]
    assert len(set(drawn[100, 42])) == 100
    assert drawn[10, 42] != drawn[10, 43]


def test_folded_gates_give_the_logits_of_gates_and_learning_lowers_the_loss() -> None:
    model = tiny_model("bert")
    before = mean_loss(model)
    gates = learnt_gates(model, tiny_encoded(), Gating(steps=30, rate=0.1, pull=0.0), seed=1)
    own = folded(model, gates)
    batch = scoring_batches(tiny_encoded())[0]
    with torch.no_grad(), gated(model, gates):
        expected = model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    with torch.no_grad():
        found = own(input_ids=batch.input_ids, attention_mask=batch.attention_mask).logits
    torch.testing.assert_close(found, expected)
    assert mean_loss(own) < before == mean_loss(model)
    pulled = learnt_gates(model, tiny_encoded(), Gating(steps=30, rate=0.1, pull=10.0), seed=1)
    assert (pulled - 1).abs().max() < (gates - 1).abs().max()


def test_fine_tuning_takes_the_steps_asked_for_and_leaves_the_source_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = []
    monkeypatch.setattr(few_label_arms, "fit", lambda *args: steps.append(fit(*args).steps))
    model = tiny_model("bert")
    before = mean_loss(model)
    own = tuned(model, tiny_encoded(), Tuning(steps=20, rate=1e-3), seed=1)
    assert steps == [20], "seven sentences are two steps per epoch"
    assert mean_loss(own) < before == mean_loss(model)


def test_signs_prune_what_harms_on_the_same_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a loss for every mask, the k of the lowest loss; by accuracy, ties to the lower loss."""
    model = tiny_model("bert")
    few = few_label_arms.Labelled(tiny_encoded(), [])
    seen: list[HeadMask] = []

    def scores(_: object, __: object, ___: object, ____: object, _____: object, masks: list[HeadMask]) -> object:
        seen[:] = masks
        return np.array([0.5, 0.9, 0.9, *[0.1] * (len(masks) - 3)]), np.array([3.0, 2.0, 1.0, *[0.5] * (len(masks) - 3)])

    monkeypatch.setattr(few_label_arms, "masked_scores", scores)
    assert len(by_sign(model, few, by="accuracy").pruned) == 2
    signed = score_heads("gradient", model, scoring_batches(few.encoded)).signed
    assert signed is not None
    harms = [signed[head.layer, head.head] for head in seen[-1].pruned]
    assert len(harms) > 2
    assert max(harms) < 0
    (worst,) = seen[1].pruned
    assert signed[worst.layer, worst.head] == signed.min()
    assert by_sign(model, few, by="loss") == seen[3]
    assert pruned(model, seen[2]) is not model


def counts(points: float) -> NDArray[np.int64]:
    """A set on which exactly that share of words is right."""
    return np.tile([round(points * WORDS / 100), WORDS], (SENTENCES, 1)).astype(np.int64)


def test_settings_are_those_with_the_best_mean_on_dev(tmp_path: Path) -> None:
    design = replace(Design(), cells=tmp_path)
    for language in design.chosen_on:
        for n in design.chosen_with:
            found = {name_of(one): counts(60) for one in (*design.tunings, *design.gatings, *design.criteria)}
            found[name_of(design.tunings[0])] = counts(80 if language == "nl" else 50)
            found[name_of(design.tunings[3])] = counts(70)
            found[name_of(design.gatings[1])] = counts(61)
            keep(design.cell(f"settings.{language}.{n}"), found)
            keep(design.cell(f"further.{language}.{n}"), {name_of(one): counts(60) for one in design.further})
    chosen = settings(design)
    assert (chosen.tuning, chosen.gating, chosen.criterion) == (design.tunings[3], design.gatings[1], "loss")
    assert chosen.points[name_of(design.tunings[0])] == pytest.approx(65)


def test_gains_are_over_the_same_draw_and_incomplete_draws_are_left_out(tmp_path: Path) -> None:
    design = replace(Design(), cells=tmp_path)
    kept = np.ones((12, 12), dtype=np.int64)
    kept[0, :3] = 0
    facts = {"kept by signs": kept, "kept by signs after tuning": kept.T * 0 + 1, "words": np.array([300])}
    for seed in design.seeds[:2]:
        for i, language in enumerate(design.targets):
            keep(design.cell(f"source.{language}.{seed}"), {"source": counts(50 + seed - 42)})
            arms = {arm: counts(50 + seed - 42 + place + i) for place, arm in enumerate(ARMS)}
            keep(design.cell(f"few.{language}.10.{seed}"), arms | facts | {"gates in thousandths": 1000 * kept})
    found = table(design, 10)
    assert found["draws"] == [42, 43]
    assert found["source"]["accuracy"]["zh"] == pytest.approx(50.5)
    tuned_row = found["arms"]["tuned"]
    assert tuned_row["over the source model"]["mean"]["gain"] == pytest.approx(2 + 1.5)
    assert tuned_row["over the source model"]["de"]["gain"] == pytest.approx(5)
    assert "over fine-tuning" not in tuned_row
    assert found["arms"]["signs"]["over fine-tuning"]["mean"]["gain"] == pytest.approx(-2)
    assert found["arms"]["signs"]["heads_pruned"]["zh"] == [3, 3]
    assert found["arms"]["tuned then pruned"]["heads_pruned"]["zh"] == [0, 0]
    assert found["gates"] == {"smallest": 0.0, "median": 1.0, "largest": 1.0}
    page = page_tables.few_labels({"targets": list(design.targets), "by_n": {"10": found}}).splitlines()
    rows = [[one.strip() for one in line.split("|")[1:-1]] for line in page]
    assert rows[2][:3] == ["0", "as it is", "50.5"]
    assert rows[3] == ["10", "prune by sign", "50.5", "51.5", "52.5", "53.5", "+1.5", "-2.0", "3"]
    assert rows[5][1:] == ["fine-tune", "52.5", "53.5", "54.5", "55.5", "+3.5", "", ""]
    design.cell("few.ja.10.43").unlink()
    assert table(design, 10)["draws"] == [42]
    assert table(design, 25) == {}
