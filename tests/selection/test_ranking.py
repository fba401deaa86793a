"""Orders of heads and masks."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadScores
from polyhead.selection.ranking import masks_for, prune_lowest, rank

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
