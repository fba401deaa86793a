"""The one call that runs any method, and what it refuses."""

import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import tiny_model

from polyhead.core.errors import SettingError, UnknownNameError
from polyhead.importance.methods import METHODS, method, score_heads
from polyhead.importance.shapley import ShapleyOptions
from polyhead.learning.batching import scoring_batches


def test_an_unknown_method_is_refused_with_the_names_there_are() -> None:
    for call in (lambda: method("gradients"), lambda: score_heads("gradients", tiny_model("bert"), ())):
        with pytest.raises(UnknownNameError, match=r"'gradients'.*weight-gradient-released"):
            call()


def test_options_reach_the_method() -> None:
    model, batches = tiny_model("bert", dtype=torch.float64), scoring_batches(tiny_encoded(), budget=40)
    assert score_heads("gradient-token", model, batches, precision="fp32").settings == {
        "per": "token",
        "precision": "fp32",
    }
    assert score_heads("random", model, (), seed=3).settings == {"seed": 3}
    assert score_heads("weight-gradient", model, batches, precision="bf16").settings == {"precision": "bf16"}


def test_the_methods_own_options_may_be_an_object_a_mapping_or_texts() -> None:
    model, batches = tiny_model("bert"), scoring_batches(tiny_encoded(), budget=40)
    for options in (
        ShapleyOptions(n_lowest=3, max_rounds=2),
        {"n_lowest": 3, "max_rounds": 2},
        {"n_lowest": "3", "max_rounds": "2"},
    ):
        found = score_heads("shapley", model, batches, options=options).settings
        assert (found["n_lowest"], found["rounds"]) == (3, 2)
    assert score_heads("l0", model, batches, options={"epochs": 1}).settings["epochs"] == 1
    assert score_heads("integrated", model, batches, options={"steps": 3}).settings["steps"] == 3


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("gradient", {"n_lowest": 3}, "method gradient has no option n_lowest; it has none"),
        ("l0", {"max_passes": 3}, "method l0 has no option max_passes; it has n_lowest, epochs"),
        ("l0", ShapleyOptions(), "method l0: expected options as GateOptions or a mapping, not ShapleyOptions"),
        ("shapley", {"n_lowest": 0}, "method shapley, option n_lowest = 0: should be at least 1"),
        ("shapley", {"n_lowest": True}, "option n_lowest = True"),
        ("shapley", {"n_lowest": 1.5}, "option n_lowest = 1.5"),
        ("shapley", {"n_lowest": "many"}, "option n_lowest = 'many'"),
        ("shapley", {"max_passes": "nan"}, "option max_passes = 'nan'"),
        ("shapley", ShapleyOptions(n_lowest=0), "option n_lowest = 0: should be at least 1"),
    ],
)
def test_options_that_a_method_has_not_or_cannot_take_are_refused(name: str, options: object, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        score_heads(name, tiny_model("bert"), (), options=options)
    assert said in str(caught.value)


@pytest.mark.parametrize("name", METHODS)
def test_a_bad_seed_or_precision_is_refused_by_every_method(name: str) -> None:
    with pytest.raises(SettingError, match="seed -1: expected a whole number from 0"):
        score_heads(name, tiny_model("bert"), (), seed=-1)
    with pytest.raises(SettingError, match="precision 'fp16': expected"):
        score_heads(name, tiny_model("bert"), (), precision="fp16")  # type: ignore[arg-type]


def test_every_option_is_listed_with_its_type_default_and_help() -> None:
    listed = {(row.name, item.name): (item.kind, item.default) for row in METHODS.values() for item in row.listed_options}
    assert listed["l0", "n_lowest"] == listed["shapley", "n_lowest"] == ("int", 12)
    assert listed["shapley", "max_passes"] == ("float | None", None)
    assert all(item.help for row in METHODS.values() for item in row.listed_options)


def test_what_profiles_heads_is_cheap_and_of_each_kind() -> None:
    rows = [row for row in METHODS.values() if row.profiles_heads]
    assert [row.needs for row in rows] == ["labels", "text", "weights"]
    assert all(row.takes_at_most(1, 12, 12) for row in rows)


def test_weights_that_are_not_finite_are_no_heads_that_are_gone() -> None:
    model, batches = tiny_model("bert"), scoring_batches(tiny_encoded(), budget=40)
    with torch.no_grad():
        model.bert.encoder.layer[1].output.dense.weight[0, 0] = torch.nan
    with pytest.raises(SettingError, match=r"head 0\.0 has no finite score; the weights bert\.encoder\.layer\.1\.output\.dense"):
        score_heads("gradient", model, batches)
