"""Masks of neurons, and plans."""

import numpy as np
import pytest

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan


def test_counts_and_shape() -> None:
    mask = NeuronMask(np.array([[1, 0, 1], [0, 0, 0]]))
    assert (mask.shape, mask.counts) == ((2, 3), (2, 0))
    assert (mask.n_kept, mask.n_pruned) == (2, 4)


def test_masks_are_read_only_and_equal_by_value() -> None:
    mask = NeuronMask.full(2, 3)
    with pytest.raises(ValueError, match="read-only"):
        mask.keep[0, 0] = False
    assert mask == NeuronMask(np.ones((2, 3)))
    assert hash(mask) == hash(NeuronMask.full(2, 3))
    assert mask & NeuronMask(np.zeros((2, 3))) == NeuronMask(np.zeros((2, 3)))


@pytest.mark.parametrize("given", [[[2, 0]], [1, 0], [["x"]]])
def test_what_is_no_mask_is_refused(given: object) -> None:
    with pytest.raises(SettingError, match="neuron"):
        NeuronMask(given)  # type: ignore[arg-type]


def test_masks_of_other_sizes_do_not_combine() -> None:
    with pytest.raises(SettingError, match="cannot be combined"):
        NeuronMask.full(2, 3) & NeuronMask.full(2, 4)


def test_a_plan_counts_both_and_needs_as_many_layers() -> None:
    heads = HeadMask(np.array([[1, 1], [0, 0]]))
    assert Plan(heads, NeuronMask(np.array([[1, 1, 0], [0, 0, 0]]))).counts == ((2, 2), (0, 0))
    with pytest.raises(SettingError, match="2 layers of heads and one of 3"):
        Plan(heads, NeuronMask.full(3, 3))
