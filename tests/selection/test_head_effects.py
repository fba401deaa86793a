"""The effect of one head against a plain loop under a mask, sign and interval included."""

import numpy as np
import pytest
import torch
from conformance.tiny import tiny_model
from curve_case import LABELS, labelled

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.data.tasks import TASKS
from polyhead.learning.inference import Labelled, evaluate, predict
from polyhead.models.model_heads import head_mask
from polyhead.models.pruning import prune
from polyhead.selection.head_effects import HeadEffects, head_effects


def as_predicted(task: str) -> tuple[torch.nn.Module, Labelled]:
    """A model and data whose gold labels are its own predictions, so that no head can harm."""
    model, data = tiny_model("xlm-roberta"), labelled(task)
    return model, Labelled(data.encoded, predict(model, data.encoded, labels=LABELS[task], precision="fp32"))


def effects(model: torch.nn.Module, data: Labelled, task: str) -> HeadEffects:
    heads = head_mask(model).kept  # type: ignore[arg-type]
    return head_effects(model, {"x": data}, TASKS[task], LABELS[task], heads, precision="fp32")["x"]  # type: ignore[arg-type]


@pytest.mark.parametrize("task", ["pos", "ner"])
def test_differences_are_those_of_one_evaluation_a_head(task: str) -> None:
    model, data = tiny_model("xlm-roberta"), labelled(task)
    found = effects(model, data, task)
    shape = found.difference.shape
    metric = TASKS[task].metric

    def points(mask: HeadMask | None) -> float:
        own = evaluate(model, {"x": data}, TASKS[task], LABELS[task], precision="fp32", mask=mask)
        return 100 * own["x"].metrics[metric]

    assert found.metric == metric
    assert found.unpruned == pytest.approx(points(None))
    for layer, head in np.ndindex(*shape):
        alone = points(HeadMask.without(*shape, [HeadId(layer, head)]))
        assert found.difference[layer, head] == pytest.approx(alone - found.unpruned, abs=1e-9)
    assert np.abs(found.difference).max() > 0


def test_a_head_that_helps_is_negative_and_lies_in_its_interval() -> None:
    model, data = as_predicted("pos")
    found = effects(model, data, "pos")
    assert found.unpruned == 100
    assert found.difference.max() <= 0 > found.difference.min()
    assert (found.low <= found.difference + 1e-9).all()
    assert (found.difference - 1e-9 <= found.high).all()
    moved = found.difference < 0
    assert (found.low[moved] < found.high[moved]).all()


def test_heads_that_are_gone_have_no_effect_to_show() -> None:
    model, data = as_predicted("pos")
    shape = effects(model, data, "pos").difference.shape
    prune(model, HeadMask.without(*shape, [HeadId(1, 0)]))  # type: ignore[arg-type]
    found = effects(model, data, "pos")
    for matrix in (found.difference, found.low, found.high):
        assert np.argwhere(np.isnan(matrix)).tolist() == [[1, 0]]


def test_data_without_labels_is_refused() -> None:
    model, data = tiny_model("xlm-roberta"), labelled("pos")
    bare = Labelled(data.encoded, [[None] * len(gold) for gold in data.gold])
    with pytest.raises(SettingError, match="label"):
        effects(model, bare, "pos")


def test_heads_that_were_not_asked_for_are_not_measured_and_data_sets_stay_apart() -> None:
    model, data = tiny_model("xlm-roberta"), labelled("pos")
    gold = as_predicted("pos")[1]
    every = effects(model, gold, "pos")
    heads = [HeadId(1, 0), HeadId(0, 1)]
    both = {"a": data, "b": gold}
    found = head_effects(model, both, TASKS["pos"], LABELS["pos"], heads, precision="fp32")  # type: ignore[arg-type]
    assert found["b"].unpruned == 100 > found["a"].unpruned
    assert np.argwhere(~np.isnan(found["b"].difference)).tolist() == [[0, 1], [1, 0]]
    for head in heads:
        assert found["b"].difference[head.layer, head.head] == pytest.approx(every.difference[head.layer, head.head])
