"""Orders, cuts and combinations of languages."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from polyhead.errors import SettingError
from polyhead.heads import HeadId, HeadScores, normalise
from polyhead.ranking import combine, keep_top, masks_for, prune_lowest, rank

shapes = st.tuples(st.integers(1, 4), st.integers(1, 4))
matrices = shapes.flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.5, 1.0, 2.0, 1e-9, float("nan")]))
)


def scores_of(values: object, **rest: object) -> HeadScores:
    return HeadScores(np.array(values, dtype=np.float64), "gradient", **rest)  # type: ignore[arg-type]


@given(matrices)
@settings(deadline=None)
def test_rank_sorts_by_score_then_address_and_skips_nan(values: NDArray[np.float64]) -> None:
    keys = [(values[head.layer, head.head], head) for head in rank(values)]
    assert keys == sorted(keys)
    assert len(keys) == int((~np.isnan(values)).sum())


@given(matrices, st.integers(0, 2), st.data())
@settings(deadline=None)
def test_masks_are_nested_exact_and_leave_every_layer_its_minimum(
    values: NDArray[np.float64], floor: int, data: st.DataObject
) -> None:
    gone = [HeadId(int(layer), int(head)) for layer, head in np.argwhere(np.isnan(values))]
    present = (~np.isnan(values)).sum(axis=1)
    can_go = int(np.maximum(present - floor, 0).sum())
    ks = range(can_go + 1)
    masks = masks_for(rank(values), ks, values.shape, min_per_layer=floor, gone=gone)
    for k, mask in zip(ks, masks, strict=True):
        assert mask.n_pruned == len(gone) + k
        assert (mask.keep.sum(axis=1) >= np.minimum(present, floor)).all()
    for smaller, larger in pairwise(masks):
        assert (smaller & larger) == larger
    k = data.draw(st.integers(0, can_go))
    assert prune_lowest(scores_of(values), k, min_per_layer=floor) == masks[k]
    with pytest.raises(SettingError, match=f"{can_go + 1} heads to prune"):
        masks_for(rank(values), [can_go + 1], values.shape, min_per_layer=floor, gone=gone)


def test_a_head_that_its_layer_cannot_spare_is_passed_over() -> None:
    mask = prune_lowest(scores_of([[0.0, 1.0, 2.0], [5.0, 6.0, 7.0]]), 3, min_per_layer=1)
    assert [str(head) for head in mask.pruned] == ["0.0", "0.1", "1.0"]
    assert prune_lowest(scores_of([[0.0, 1.0, 2.0], [5.0, 6.0, 7.0]]), 3).keep[0].tolist() == [False] * 3


def test_keep_top_is_the_complement() -> None:
    scores = scores_of([[0.0, 3.0], [np.nan, 1.0]])
    assert keep_top(scores, 1).kept == (HeadId(0, 1),)
    assert keep_top(scores, 3) == prune_lowest(scores, 0)
    for n_kept in (-1, 4):
        with pytest.raises(SettingError, match="heads to keep"):
            keep_top(scores, n_kept)


def test_bad_rankings_are_refused() -> None:
    with pytest.raises(SettingError, match=r"head 0\.0: stands more than once"):
        masks_for([HeadId(0, 0), HeadId(0, 0)], [1], (1, 2))
    with pytest.raises(SettingError, match=r"head 3\.0"):
        masks_for([HeadId(3, 0)], [1], (1, 2))
    with pytest.raises(SettingError, match="-1 heads"):
        masks_for([HeadId(0, 0)], [-1], (1, 2))


def test_paper_normalisation_changes_the_order_between_layers() -> None:
    values = np.array([[1.0, 3.0], [10.0, 10.0]])
    assert [str(head) for head in rank(values)] == ["0.0", "0.1", "1.0", "1.1"]
    assert [str(head) for head in rank(values, normalisation="paper")] == ["0.0", "1.0", "1.1", "0.1"]


A = scores_of([[1.0, 2.0], [4.0, 4.0]], total=np.array([[1.0, 2.0], [4.0, 4.0]]), n=1, languages=("en",), seconds=1.0)
B = scores_of(
    [[3.0, 1.0], [0.0, 2.0]],
    total=np.array([[9.0, 3.0], [0.0, 6.0]]),
    signed=np.ones((2, 2)),
    n=3,
    languages=("de", "en"),
    seconds=2.0,
)


def test_merged_is_as_if_scored_in_one_pass() -> None:
    (merged,) = combine([A, B], "merged")
    np.testing.assert_allclose(merged.values, [[10 / 4, 5 / 4], [4 / 4, 10 / 4]])
    np.testing.assert_allclose(merged.total, [[10, 5], [4, 10]])
    assert (merged.n, merged.languages, merged.seconds, merged.signed) == (4, ("en", "de"), 3.0, None)
    (paper,) = combine([A, B], "merged", normalisation="paper")
    np.testing.assert_allclose(paper.values, normalise(merged.values, "paper"))


def test_summed_adds_finished_matrices() -> None:
    (summed,) = combine([A, B], "summed", normalisation="paper")
    np.testing.assert_allclose(summed.values, normalise(A.values, "paper") + normalise(B.values, "paper"))
    (plain,) = combine([A, B], "summed")
    np.testing.assert_allclose(plain.values, A.values + B.values)


def test_each_keeps_every_source() -> None:
    each = combine([A, B], "each", normalisation="paper")
    assert [item.languages for item in each] == [("en",), ("de", "en")]
    np.testing.assert_allclose(each[1].values, normalise(B.values, "paper"))
    np.testing.assert_allclose(each[1].total, B.total)
    np.testing.assert_allclose(each[1].signed, B.signed)


def test_heads_gone_in_any_source_stay_gone() -> None:
    gone = scores_of([[np.nan, 1.0], [1.0, 1.0]], total=np.array([[np.nan, 1.0], [1.0, 1.0]]), n=1)
    for how in ("merged", "summed"):
        (result,) = combine([A, gone], how)
        assert np.isnan(result.values).tolist() == [[True, False], [False, False]]


def test_what_cannot_be_combined_is_said() -> None:
    with pytest.raises(SettingError, match="no scores"):
        combine([], "merged")
    with pytest.raises(SettingError, match="cannot be combined"):
        combine([A, scores_of([[1.0]])], "summed")
    with pytest.raises(SettingError, match="magnitude"):
        combine([A, HeadScores(A.values, "magnitude")], "summed")
    with pytest.raises(SettingError, match="keeps no totals"):
        combine([HeadScores(A.values, "magnitude")], "merged")
    with pytest.raises(SettingError, match="expected merged, summed or each"):
        combine([A], "mean")  # type: ignore[arg-type]
