"""Labels at their places, from batches in any order and sentences in several windows."""

import numpy as np
import pytest
import torch
from conformance.scoring_case import LENGTHS, tiny_encoded
from conformance.tiny import N_LABELS

from polyhead.learning.batching import scoring_batches
from polyhead.learning.inference import no_labels, place_labels


def test_nothing_is_placed_at_first() -> None:
    assert [ids.tolist() for ids in no_labels([2, 0, 1])] == [[-1, -1], [], [-1]]


@pytest.mark.parametrize("budget", [1, 40])
def test_every_word_gets_the_highest_logit_at_its_own_anchor(budget: int) -> None:
    encoded = tiny_encoded()
    batches = scoring_batches(encoded, budget=budget)
    ids = no_labels(encoded.words_per_sentence)
    for batch in batches[::-1]:
        # the label that wins follows from the subword, so that it is known without a model
        logits = torch.nn.functional.one_hot(batch.input_ids % N_LABELS, N_LABELS).float()
        place_labels(ids, batch, logits)
    expected = no_labels([length - 2 for length in LENGTHS])
    for window in encoded.windows:
        expected[window.sentence][window.anchor_words] = window.input_ids[window.anchor_positions] % N_LABELS
    for found, wanted in zip(ids, expected, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert min(len(found) for found in ids) > 0
    assert min(found.min() for found in ids) == 0
