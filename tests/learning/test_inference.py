import dataclasses

import numpy as np
import pytest
import torch
from conformance import scoring_case, tiny
from training_case import N_LABELS, tiny_encoded, tiny_model

from polyhead.core.heads import HeadId, HeadMask
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import TASKS
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoded import Window
from polyhead.learning.inference import Labelled, evaluate, predict, word_places

LABELS = LabelSet(("ADJ", "ADP", "ADV", "AUX", "NOUN"))
OPTIONS = {"labels": LABELS, "precision": "fp32"}


def one_by_one(model, encoded):
    found = []
    for window in encoded.windows:
        logits = model(torch.from_numpy(window.input_ids.astype(np.int64))[None]).logits[0]
        found.append([LABELS.names[i] for i in logits[window.anchor_positions.tolist()].argmax(-1).tolist()])
    return found


@pytest.mark.parametrize("budget", [1, 40, 1000])
def test_one_label_a_word_in_the_order_given_whatever_the_batches(budget):
    model, encoded = tiny_model(), tiny_encoded(15)
    predicted = predict(model, encoded, budget=budget, **OPTIONS)
    assert predicted == one_by_one(model.eval(), encoded)
    assert [len(sentence) for sentence in predicted] == list(encoded.words_per_sentence)


def test_windows_of_a_sentence_are_joined_and_empty_sentences_stay():
    model = tiny_model().eval()
    first = Window(1, np.array([1, 5, 6, 7, 2], np.int32), np.array([1, 2]), np.array([0, 1]), np.array([0, 0]))
    second = Window(1, np.array([1, 6, 7, 8, 2], np.int32), np.array([2, 3]), np.array([2, 3]), np.array([0, 0]))
    encoded = dataclasses.replace(tiny_encoded(0), windows=(first, second), words_per_sentence=(0, 4, 0))
    halves = one_by_one(model, encoded)
    assert predict(model, encoded, **OPTIONS) == [[], halves[0] + halves[1], []]


def test_mode_and_hooks_are_restored_and_the_mask_is_active():
    model, encoded = tiny_model(), tiny_encoded(30)
    for site in model.bert.encoder.layer:
        site.attention.output.dense.weight.data.mul_(50)
    mask = HeadMask.without(2, 2, [HeadId(0, 0), HeadId(1, 1)])
    model.bert.embeddings.eval()
    modes = [module.training for module in model.modules()]
    plain, masked = predict(model, encoded, **OPTIONS), predict(model, encoded, mask=mask, **OPTIONS)
    assert plain != masked
    for head in mask.pruned:
        dense = model.bert.encoder.layer[head.layer].attention.output.dense
        dense.weight.data[:, head.head * 8 : (head.head + 1) * 8] = 0
    assert predict(model, encoded, **OPTIONS) == masked
    assert [module.training for module in model.modules()] == modes
    assert len(set(modes)) == 2
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_languages_in_one_pass_equal_languages_alone():
    model = tiny_model()
    data = {}
    for name, seed in (("de", 1), ("nl", 2)):
        encoded = tiny_encoded(12, seed=seed)
        gold = [[None if i < 0 else LABELS.names[i] for i in window.label_ids] for window in encoded.windows]
        data[name] = Labelled(encoded, gold)
    both = evaluate(model, data, TASKS["pos"], **OPTIONS)
    assert list(both) == ["de", "nl"]
    for name, found in both.items():
        alone = evaluate(model, {name: data[name]}, TASKS["pos"], **OPTIONS)[name]
        assert found.predicted == alone.predicted == predict(model, data[name].encoded, **OPTIONS)
        assert found.metrics == alone.metrics
        assert np.array_equal(found.counts, alone.counts)
        assert found.counts.shape[0] == 12
        labelled = [
            (g, p) for gs, ps in zip(data[name].gold, found.predicted, strict=True) for g, p in zip(gs, ps, strict=True) if g
        ]
        assert found.n_words == len(labelled) < sum(data[name].encoded.words_per_sentence)
        assert found.metrics["accuracy"] == pytest.approx(np.mean([g == p for g, p in labelled]))
    assert len(LABELS.names) == N_LABELS


@pytest.mark.parametrize("budget", [1, 40])
def test_every_word_gets_the_highest_logit_at_its_own_anchor(budget: int) -> None:
    encoded = scoring_case.tiny_encoded()
    batches, words = scoring_batches(encoded, budget=budget), encoded.words_per_sentence
    ids = np.full(sum(words), -1)
    for batch in batches[::-1]:
        # the label that wins follows from the subword, so that it is known without a model
        logits = torch.nn.functional.one_hot(batch.input_ids % tiny.N_LABELS, tiny.N_LABELS).float()
        ids[word_places(batch, words)] = logits[batch.anchor_rows, batch.anchor_columns].argmax(-1).numpy()
    expected = [np.full(length - 2, -1) for length in scoring_case.LENGTHS]
    for window in encoded.windows:
        expected[window.sentence][window.anchor_words] = window.input_ids[window.anchor_positions] % tiny.N_LABELS
    np.testing.assert_array_equal(ids, np.concatenate(expected))
    assert ids.min() == 0
