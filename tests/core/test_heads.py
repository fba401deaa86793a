"""Addresses, masks, matrices of scores and their normalisation."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadMask, HeadScores, normalise

shapes = st.tuples(st.integers(1, 5), st.integers(1, 5))
keeps = shapes.flatmap(lambda shape: arrays(np.bool_, shape))
# Powers of two keep sums and quotients exact enough to compare orders.
matrices = shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=st.sampled_from([0.0, 1.0, 2.0, 8.0, float("nan")])))


@given(st.integers(0, 10**6), st.integers(0, 10**6))
@settings(deadline=None)
def test_addresses_are_read_as_they_are_written(layer: int, head: int) -> None:
    assert HeadId.parse(str(HeadId(layer, head))) == HeadId(layer, head)


@pytest.mark.parametrize("text", ["", "3", "3.", ".5", "3,5", "-1.2", "3.5.1", "a.b", "³.1", "٣.1", "1. 2", "1e1.2"])
def test_other_text_is_not_an_address(text: str) -> None:
    with pytest.raises(SettingError, match=r"expected LAYER\.HEAD"):
        HeadId.parse(text)


def test_addresses_sort_by_layer_then_head() -> None:
    assert sorted([HeadId(1, 0), HeadId(0, 9), HeadId(0, 10)]) == [HeadId(0, 9), HeadId(0, 10), HeadId(1, 0)]


@given(keeps)
@settings(deadline=None)
def test_pruned_and_kept_split_the_heads(keep: NDArray[np.bool_]) -> None:
    mask = HeadMask(keep)
    assert sorted([*mask.pruned, *mask.kept]) == [HeadId(*map(int, place)) for place in np.ndindex(keep.shape)]
    assert (mask.n_pruned, mask.n_kept) == (len(mask.pruned), len(mask.kept))
    again = HeadMask.without(mask.n_layers, mask.n_heads, mask.pruned)
    assert again == mask
    assert hash(again) == hash(mask)


@given(keeps, st.data())
@settings(deadline=None)
def test_joined_masks_keep_what_both_keep(keep: NDArray[np.bool_], data: st.DataObject) -> None:
    other = data.draw(arrays(np.bool_, keep.shape))
    joined = HeadMask(keep) & HeadMask(other)
    assert set(joined.kept) == set(HeadMask(keep).kept) & set(HeadMask(other).kept)
    assert HeadMask(keep) & HeadMask.full(*keep.shape) == HeadMask(keep)


def test_masks_of_other_shapes_neither_join_nor_equal() -> None:
    with pytest.raises(SettingError, match="cannot be combined"):
        HeadMask.full(2, 2) & HeadMask.full(2, 3)
    assert HeadMask.full(2, 3) != HeadMask.full(3, 2)
    assert HeadMask.full(1, 1) != "mask"


@pytest.mark.parametrize("head", [HeadId(2, 0), HeadId(0, 3)])
def test_heads_outside_the_model_are_refused(head: HeadId) -> None:
    with pytest.raises(SettingError, match=r"layers 0\.\.1 and heads 0\.\.2"):
        HeadMask.without(2, 3, [head])


def test_arrays_are_copied_and_cannot_be_changed() -> None:
    keep = np.ones((2, 2), dtype=np.bool_)
    mask = HeadMask(keep)
    keep[0, 0] = False
    assert mask.n_pruned == 0
    with pytest.raises(ValueError, match="read-only"):
        mask.keep[0, 0] = False
    scores = HeadScores(np.zeros((2, 2)), "gradient", signed=np.zeros((2, 2)), languages=["en"])
    with pytest.raises(ValueError, match="read-only"):
        scores.signed[0, 0] = 1.0  # type: ignore[index]
    with pytest.raises(FrozenInstanceError):
        scores.method = "other"  # type: ignore[misc]
    assert (scores.languages, scores.n_layers, scores.n_heads) == (("en",), 2, 2)


@pytest.mark.parametrize("values", [[1.0, 2.0], [[[1.0]]], 1.0])
def test_only_matrices_are_taken(values: object) -> None:
    with pytest.raises(SettingError, match=r"\[layers, heads\]"):
        HeadScores(values, "gradient")  # type: ignore[arg-type]


@given(matrices)
@settings(deadline=None)
def test_no_normalisation_changes_nothing(values: NDArray[np.float64]) -> None:
    np.testing.assert_array_equal(normalise(values), values)


@pytest.mark.filterwarnings("error")
@given(matrices)
@settings(deadline=None)
def test_paper_normalisation_spans_zero_to_one_skips_nan_and_keeps_the_order_in_a_layer(values: NDArray[np.float64]) -> None:
    result = normalise(values, "paper")
    np.testing.assert_array_equal(np.isnan(result), np.isnan(values))
    present = result[~np.isnan(result)]
    if present.size and present.any():
        assert present.min() == 0.0
        assert present.max() == 1.0
    for before, after in zip(values, result, strict=True):
        kept = ~np.isnan(before)
        if np.ptp(after[kept]) > 0 if kept.any() else False:
            assert np.array_equal(np.argsort(before[kept], kind="stable"), np.argsort(after[kept], kind="stable"))


def test_paper_normalisation_turns_no_order_round() -> None:
    with pytest.raises(SettingError, match=r"the lowest score is -3, .* use none"):
        normalise(np.array([[-3.0, -1.0], [1.0, np.nan]]), "paper")


@given(matrices, st.sampled_from([0.5, 2.0, 64.0]))
@settings(deadline=None)
def test_paper_normalisation_forgets_a_layers_scale(values: NDArray[np.float64], factor: float) -> None:
    scaled = values.copy()
    scaled[0] *= factor
    np.testing.assert_allclose(normalise(scaled, "paper"), normalise(values, "paper"), atol=1e-12)


def test_zero_over_zero_is_zero() -> None:
    assert normalise(np.array([[0.0, 0.0], [1.0, 3.0]]), "paper").tolist() == [[0.0, 0.0], [1 / 3, 1.0]]
    assert normalise(np.ones((2, 2)), "paper").tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_unknown_normalisation() -> None:
    with pytest.raises(SettingError, match="'none' or 'paper'"):
        normalise(np.ones((1, 1)), "softmax")  # type: ignore[arg-type]


def test_scores_are_equal_by_value() -> None:
    one = HeadScores(np.array([[0.5, np.nan]]), "gradient", signed=np.array([[-0.1, np.nan]]), languages=["en"], seconds=1.0)
    assert one == replace(one, values=one.values.copy(), seconds=2.0), "how long it took is not what was found"
    for change in ({"values": np.array([[0.5, 1.0]])}, {"signed": None}, {"languages": ["de"]}, {"n": 1}, {"method": "fisher"}):
        assert one != replace(one, **change)  # type: ignore[arg-type]
    assert one != HeadScores(np.array([[0.5], [np.nan]]), "gradient")
    assert one != "gradient"
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


@pytest.mark.parametrize(
    "keep", [[[0.5, 1.0]], [[2, 1]], [[float("nan"), 1.0]], [["True", "False"]], [[None, True]], [[1], [0, 1]]]
)
def test_only_booleans_zeros_and_ones_make_a_mask(keep: object) -> None:
    with pytest.raises(SettingError, match=r"got (0\.5|2|nan|True|None)$|\[layers, heads\]: .*shape"):
        HeadMask(keep)  # type: ignore[arg-type]


def test_zeros_and_ones_are_a_mask_and_words_are_no_scores() -> None:
    assert HeadMask(np.array([[1.0, 0.0]])) == HeadMask(np.array([[1, 0]])) == HeadMask(np.array([[True, False]]))
    assert (HeadMask.full(2, 3).shape, HeadScores(np.zeros((2, 3)), "gradient").shape) == ((2, 3), (2, 3))
    with pytest.raises(SettingError, match="one number per head"):
        HeadScores(np.array([["high"]]), "gradient")
