"""Orders of heads and masks."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadMask, HeadScores
from polyhead.selection.ranking import masks_for, prune_lowest, prune_nested, rank

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


def test_a_head_that_its_layer_needs_is_skipped() -> None:
    mask = prune_lowest(scores_of([[0.0, 1.0, 2.0], [5.0, 6.0, 7.0]]), 3, min_per_layer=1)
    assert [str(head) for head in mask.pruned] == ["0.0", "0.1", "1.0"]
    assert prune_lowest(scores_of([[0.0, 1.0, 2.0], [5.0, 6.0, 7.0]]), 3).keep[0].tolist() == [False] * 3


def test_bad_rankings_are_refused() -> None:
    with pytest.raises(SettingError, match=r"head 0\.0 is in the ranking more than once"):
        masks_for([HeadId(0, 0), HeadId(0, 0)], [1], (1, 2))
    with pytest.raises(SettingError, match=r"head 3\.0"):
        masks_for([HeadId(3, 0)], [1], (1, 2))
    with pytest.raises(SettingError, match="-1 heads"):
        masks_for([HeadId(0, 0)], [-1], (1, 2))


def test_paper_normalisation_changes_the_order_between_layers() -> None:
    values = np.array([[1.0, 3.0], [10.0, 10.0]])
    assert [str(head) for head in rank(values)] == ["0.0", "0.1", "1.0", "1.1"]
    assert [str(head) for head in rank(values, normalisation="paper")] == ["0.0", "1.0", "1.1", "0.1"]


@given(seed=st.integers(0, 2**32 - 1), group=st.sampled_from([1, 2, 4]), floor=st.integers(0, 5))
def test_heads_that_share_a_key_are_pruned_together(seed: int, group: int, floor: int) -> None:
    rng = np.random.default_rng(seed)
    ranking = rank(rng.standard_normal((3, 8)))
    gone = [HeadId(0, head) for head in range(group)]
    most = 3 * (8 - -(-floor // group) * group) - group
    masks = masks_for(ranking, range(most + 1), (3, 8), min_per_layer=floor, gone=gone, group=group)
    before = HeadMask.without(3, 8, gone)
    for k, mask in enumerate(masks):
        by_key = mask.keep.reshape(3, -1, group).sum(axis=-1)
        assert set(np.unique(by_key)) <= {0, group}
        assert k - group < before.n_kept - mask.n_kept <= k
    assert all((one & other) == other for one, other in pairwise(masks))


def test_a_number_that_would_split_a_key_is_refused_with_those_that_do_not() -> None:
    scores = HeadScores(np.arange(8.0).reshape(1, 8), "x")
    present = HeadMask(np.ones((1, 8), dtype=np.bool_), group=4)
    assert prune_lowest(scores, 4, present=present).pruned == tuple(HeadId(0, head) for head in range(4))
    with pytest.raises(SettingError, match=r"5 heads to prune: 4 heads share a key .* give 4 or 8, or a mask"):
        prune_lowest(scores, 5, present=present)
    order = [f"0.{head}" for head in (4, 5, 6, 7, 0, 1)]
    assert prune_nested(order, 4, present=present).pruned == tuple(HeadId(0, head) for head in range(4, 8))
    with pytest.raises(SettingError, match="6 heads to prune: expected 0 to 4 with this ranking"):
        prune_nested(order, 6, present=present)
