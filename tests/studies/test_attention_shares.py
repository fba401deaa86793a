"""Shares of attention against figures worked out by hand on planted weights."""

import numpy as np
import pytest

from polyhead.data.trees import Tree
from polyhead.studies.attention_shares import Shares

# three words, the second of two subwords, between two special tokens
POSITIONS = np.array([3, 0, 1, 1, 2, 3])
TREE = Tree((1, None, 1), ("nsubj", "root", "obj"))
# head 0 looks at the word before, head 1 at the word after; words at the edge look at the separators
BEFORE = [[0, 0, 0, 1.0], [0.75, 0.25, 0, 0], [0, 1, 0, 0]]
AFTER = [[0, 1, 0, 0], [0, 0, 0.5, 0.5], [0, 0, 0, 1.0]]


@pytest.fixture
def shares() -> Shares:
    found = Shares((1, 3), [POSITIONS, None], [TREE, None])
    found.add(0, 0, (0, 2), np.array([BEFORE, AFTER]))
    return found


def test_previous_next_same_and_separators_are_means_over_words_that_have_one(shares: Shares) -> None:
    found = shares.found()
    values = {kind: share.values[0] for kind, share in found.items()}
    np.testing.assert_allclose(values["previous"], [0.875, np.nan, 0])
    np.testing.assert_allclose(values["next"], [0, np.nan, 0.75])
    np.testing.assert_allclose(values["same"], [0.25 / 3, np.nan, 0])
    np.testing.assert_allclose(values["separators"], [1 / 3, np.nan, 0.5])
    assert {kind: found[kind].n for kind in ("previous", "next", "same", "separators")} == {
        "previous": 2,
        "next": 2,
        "same": 3,
        "separators": 3,
    }


def test_even_attention_counts_the_subwords_of_the_word_attended_to(shares: Shares) -> None:
    found = shares.found()
    assert found["previous"].even == pytest.approx((1 + 2) / 6 / 2)
    assert found["next"].even == pytest.approx((2 + 1) / 6 / 2)
    assert found["separators"].even == pytest.approx(2 / 6)


def test_relations_go_both_ways_and_the_root_has_none(shares: Shares) -> None:
    found = shares.found()
    np.testing.assert_allclose(found["nsubj", "to_head"].values[0], [0, np.nan, 1])
    np.testing.assert_allclose(found["nsubj", "to_dependent"].values[0], [0.75, np.nan, 0])
    np.testing.assert_allclose(found["obj", "to_head"].values[0], [1, np.nan, 0])
    assert found["obj", "to_head"].even == pytest.approx(2 / 6)
    assert ("root", "to_head") not in found
