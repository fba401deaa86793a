"""A tiny tagger, dev text of two languages, latency tables that nobody measured, and a machine of their times."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial

import pytest
from transformers import PreTrainedModel

from polyhead.compression.latency_table import LatencyTable
from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.models.model_heads import head_mask
from polyhead.models.model_neurons import neuron_mask
from polyhead.studies import elastic, shrink_steps, shrinking
from polyhead.studies.tagger import Tagger

LANGUAGES = ("en", "de")
SHAPE = {"batch": 2, "length": 16}


def dev(n: int = 24) -> list[Dataset]:
    return [sample(open_corpus(f"phrases/{language}", "dev"), n, seed=1) for language in LANGUAGES]


def texts() -> dict[str, list[str]]:
    return {own.language: [" ".join(one.words) for one in own] for own in dev(100)}


@cache
def tagger() -> Tagger:
    """Trained for a moment, so that pruning costs something; do not change it."""
    found = Tagger.load("polyhead/tiny", task="pos", seed=42, device="cpu", precision="fp32")
    train = sample(open_corpus("phrases/en", "train"), 192, seed=1)
    found.fit(train, spec=TrainSpec(epochs=2))
    return found


def made_up_table(*, batch: int = SHAPE["batch"], length: int = SHAPE["length"]) -> LatencyTable:
    """As of the tiny model: four layers of 8 heads and 512 neurons, 2 ms beside 4 of attention and 8 of feed-forward blocks."""
    return LatencyTable.given(
        batch=batch,
        length=length,
        n_layers=4,
        fixed=2.0,
        attention=((0, 0.0), (8, 1.0)),
        feed_forward=((0, 0.0), (16, 0.0625), (512, 2.0)),
    )


def smaller_table(*, batch: int, length: int) -> LatencyTable:
    """Of a model of two layers of 4 heads and 32 neurons: 1 ms beside 4 of attention and 8 of feed-forward blocks."""
    return replace(
        made_up_table(batch=batch, length=length),
        n_layers=2,
        fixed=1.0,
        attention=((0, 0.0), (4, 2.0)),
        feed_forward=((0, 0.0), (2, 0.25), (32, 4.0)),
    )


def times(table: LatencyTable, models: Sequence[PreTrainedModel], **_: object) -> list[float]:
    """Milliseconds of models whose times are exactly those of the table."""
    plans = ((head_mask(model).keep.sum(axis=1), neuron_mask(model).counts) for model in models)
    return [table.predict([*zip(heads.tolist(), neurons, strict=True)]) for heads, neurons in plans]


def as_machine(table: LatencyTable, patch: pytest.MonkeyPatch) -> None:
    """Let shrinking and elastic training measure what the table says."""
    for module in (elastic, shrinking):
        patch.setattr(module, "cached_latency", lambda model, **_: table)
    patch.setattr(shrink_steps, "time_models", partial(times, table))
