"""Figures under many masks: those of one gated evaluation after the other, whatever the data sets, tasks and layers shared."""

import numpy as np
import pytest
import torch
from conformance.tiny import MASKS, tiny_model
from curve_case import LABELS, labelled

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.data.tasks import TASKS
from polyhead.learning.batching import scoring_batches
from polyhead.learning.inference import Labelled, evaluate, named
from polyhead.learning.masked_evaluation import masked_counts, masked_scores
from polyhead.learning.metrics import metric_from_counts, sentence_counts
from polyhead.models.gates import gated

MANY = [*MASKS.values(), MASKS["uneven"]]
CPU = torch.device("cpu")


@pytest.mark.parametrize("task", ["pos", "ner"])
def test_counts_are_those_of_an_evaluation_under_each_mask(task: str) -> None:
    model, data = tiny_model("bert"), {"de": labelled(task), "nl": labelled(task, seed=1)}
    found = masked_counts(model, data, TASKS[task], LABELS[task], MANY, precision="fp32", budget=40)
    assert len(found) == len(MANY)
    for mask, by_name in zip(MANY, found, strict=True):
        alone = evaluate(model, data, TASKS[task], LABELS[task], precision="fp32", mask=mask)
        assert list(by_name) == ["de", "nl"]
        for name, counts in by_name.items():
            assert counts.tolist() == alone[name].counts.tolist()
    assert found[0]["de"].tolist() != found[3]["de"].tolist()


@pytest.mark.parametrize("task", ["pos", "ner"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_scores_are_those_of_an_evaluation_under_each_mask(task: str, precision: str) -> None:
    model, data = tiny_model("xlm-roberta").train(), labelled(task)
    batches = scoring_batches(data.encoded, budget=40)
    advanced: list[int] = []
    scores, _ = masked_scores(
        model,
        batches,
        data,
        TASKS[task],
        LABELS[task],
        MANY,
        precision=precision,  # type: ignore[arg-type]
        advance=advanced.append,
    )
    assert advanced == [len(MANY)] * len(batches)
    assert model.training
    for mask, score in zip(MANY, scores, strict=True):
        options = {"device": CPU, "precision": precision, "mask": mask}
        alone = evaluate(model, {"": data}, TASKS[task], LABELS[task], **options)[""]
        assert score == alone.metrics[TASKS[task].metric]
    assert len(set(scores.tolist())) > 2, "a test in which masks differ"


def test_losses_weigh_every_labelled_word_once() -> None:
    model, data = tiny_model("bert"), labelled("pos")
    batches, masks = scoring_batches(data.encoded, budget=40), [MASKS["uneven"]]
    _, found = masked_scores(model, batches, data, TASKS["pos"], LABELS["pos"], masks, precision="fp32")
    losses = []
    with torch.no_grad(), gated(model, MASKS["uneven"]):
        for window in data.encoded.windows:
            logits = model(torch.from_numpy(window.input_ids.astype(np.int64))[None]).logits[0].log_softmax(-1)
            pairs = zip(window.anchor_positions.tolist(), window.label_ids.tolist(), strict=True)
            losses += [-float(logits[place, label]) for place, label in pairs if label >= 0]
    assert found == pytest.approx([np.mean(losses)], rel=1e-5)


def test_unknown_gold_labels_are_missed_and_missing_ones_not_scored() -> None:
    data = labelled("pos")
    flat = [label for sentence in data.gold for label in sentence]
    names = LABELS["pos"].names
    right = np.array([names.index(label) if label in names else 0 for label in flat])
    n_scored = sum(label is not None for label in flat)
    wrong = np.where(np.array([label is None for label in flat]), right, (right + 1) % 5)
    predicted = [named(ids, LABELS["pos"], data.encoded.words_per_sentence) for ids in (right, wrong)]
    sums = [sentence_counts(TASKS["pos"], data.gold, labels).sum(axis=0) for labels in predicted]
    assert metric_from_counts(TASKS["pos"], np.stack(sums)).tolist() == [(n_scored - 1) / n_scored, 0.0]


@pytest.mark.parametrize("task", ["pos", "ner"])
def test_nothing_to_score_is_refused(task: str) -> None:
    encoded = labelled(task).encoded
    data = Labelled(encoded, [[None] * n for n in encoded.words_per_sentence])
    mask = [HeadMask.full(3, 4)]
    with pytest.raises(SettingError, match="no word of 14 sentences has a gold label"):
        masked_counts(tiny_model("bert"), {"": data}, TASKS[task], LABELS[task], mask)
    with pytest.raises(SettingError, match="no word of 14 sentences has a gold label"):
        masked_scores(tiny_model("bert"), scoring_batches(encoded), data, TASKS[task], LABELS[task], mask)
