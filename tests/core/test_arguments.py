"""An argument of the wrong type is refused by its name, by every public function."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import polyhead as ph
from polyhead.core.neurons import NeuronMask
from polyhead.core.specs import TrainSpec

TAGGER = ph.Tagger.load("polyhead/tiny", task="pos", seed=1)
DEV = ph.sample(ph.open_corpus("phrases/en", "dev"), 4, seed=1)
ENCODED = TAGGER.encode(DEV)
SCORES = ph.HeadScores(np.arange(32.0).reshape(4, 8), "mine")
MASK = ph.HeadMask.full(4, 8)
TEXT, MODEL, LABELS = {"name": "x"}, {"model": TAGGER.model}, {"labels": TAGGER.labels}
RUN: dict[str, Any] = {"model": "polyhead/tiny", "task": "pos", "sources": ["phrases/en"], "targets": ["phrases/de"]}
# Arguments of each function that are right; each is in turn replaced by a wrong one.
RIGHT: Mapping[str, Mapping[str, Any]] = {
    "densify": {"model_or_folder": TAGGER.model, "folder": "x"},
    "elastic_plans": {"tagger": TAGGER, "dev": [DEV]},
    "encode": {"sentences": DEV.sentences, "tokenizer": TAGGER.tokenizer, **LABELS, "max_length": 64},
    "evaluate": {**MODEL, "datasets": {"dev": TAGGER.labelled(DEV)}, "task": TAGGER.task, **LABELS, "mask": MASK, "budget": 64},
    "export": {"model": TAGGER, "folder": "x"},
    "find_sites": MODEL,
    "fit": {**MODEL, "encoded": ENCODED, "spec": TrainSpec(epochs=1), "mask": MASK, "resume_file": Path("x")},
    "gated": {**MODEL, "gates": MASK, "neurons": NeuronMask.full(4, 512)},
    "head_mask": MODEL,
    "head_masks": MODEL,
    "label_set": {"task": ph.task("ner"), "training": [DEV]},
    "load_tagger": {**TEXT, **LABELS, "seed": 1},
    "load_tokenizer": TEXT,
    "neuron_mask": MODEL,
    "open_corpus": {**TEXT, "split": "dev", "root": "x"},
    "open_file": {"path": "x", "task": TAGGER.task, "split": "dev", "language": "en"},
    "predict": {**MODEL, "encoded": ENCODED, **LABELS, "mask": MASK, "budget": 64},
    "pipeline": {"model": TAGGER},
    "prune": {**MODEL, "mask": MASK, "neurons": NeuronMask.full(4, 512)},
    "prune_lowest": {"scores": SCORES, "n_pruned": 1, "present": MASK, "min_per_layer": 0},
    "rank": {"scores": SCORES},
    "read_scores": {"path": "x"},
    "register_architecture": {"row": None},
    "run": {"settings": ph.run_settings(**RUN), "out": "x"},
    "run_settings": RUN,
    "sample": {"dataset": DEV, "n": 1, "seed": 1},
    "save_pruned": {**MODEL, "folder": "x"},
    "score_heads": {"name": "random", **MODEL, "batches": ph.scoring_batches(ENCODED), "seed": 1},
    "score_until_settled": {"name": "gradient", **MODEL, "encoded": ENCODED, "n_lowest": 1, "may_differ": 0.05, "seed": 1},
    "scoring_batches": {"encoded": ENCODED, "budget": 64},
    "shrink": {"model": TAGGER, "dev": [DEV], "size": "3MB", "batch": 1, "length": 8, "seed": 1},
    "task": TEXT,
    "trim": {**MODEL, "tokenizer": TAGGER.tokenizer, "texts": {"en": ["a dog"]}, "min_count": 1},
    "write_scores": {"path": "x", "scores": SCORES},
}


def test_the_table_names_every_public_function() -> None:
    functions = {name for name in ph.__all__ if callable(getattr(ph, name)) and not isinstance(getattr(ph, name), type)}
    assert set(RIGHT) == functions


@pytest.mark.parametrize(
    ("function", "argument"),
    [(name, argument) for name, arguments in RIGHT.items() for argument in arguments if argument != "tokenizer"],
)
@pytest.mark.parametrize("wrong", [object(), True, [object()], 1.5, {"x": object()}], ids=lambda value: type(value).__name__)
def test_a_wrong_argument_is_named(function: str, argument: str, wrong: object) -> None:
    with pytest.raises((TypeError, ph.PolyheadError)) as error:
        getattr(ph, function)(**{**RIGHT[function], argument: wrong})
    said = {"n_pruned": "heads to prune", "n": "sample of", "texts": "text"}.get(argument, argument)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ph.fit(TAGGER.model, None, ph.TrainSpec()), "encoded is None (NoneType); expected Encoded"),
        (lambda: ph.sample(None, 3, seed=1), "dataset is None (NoneType); expected Dataset"),
        (lambda: ph.scoring_batches(None), "encoded is None (NoneType); expected Encoded"),
        (lambda: ph.score_heads("random", TAGGER.model, [], seed="a"), "seed is 'a' (str); expected int"),
        (lambda: ph.prune(TAGGER.model, TAGGER.labels), "mask is of type LabelSet; expected HeadMask"),
        (lambda: ph.prune_lowest(TAGGER, 3), "scores is of type Tagger; expected HeadScores"),
        (lambda: ph.load_tokenizer(3), "name is 3 (int); expected str or PathLike"),
        (
            lambda: ph.fit(TAGGER.model, ENCODED, ph.TrainSpec(), resume_file="x"),
            "resume_file is 'x' (str); expected Path or None",
        ),
    ],
)
def test_the_message_names_value_type_and_what_is_expected(call: Any, said: str) -> None:
    with pytest.raises(TypeError) as error:
        call()
    assert str(error.value) == said


def test_numbers_of_numpy_are_numbers() -> None:
    assert ph.sample(DEV, 2, seed=np.int64(1)) == ph.sample(DEV, 2, seed=1)  # type: ignore[arg-type]
