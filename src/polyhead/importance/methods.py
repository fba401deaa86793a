"""The table of importance methods: what each costs, needs and promises, and the one call that runs any of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedModel

from polyhead.batching import Batch
from polyhead.devices import Precision
from polyhead.errors import SettingError, UnknownNameError
from polyhead.heads import HeadScores
from polyhead.importance.baselines import magnitude, random
from polyhead.importance.gradient import Per, gradient
from polyhead.importance.weight_gradient import weight_gradient, weight_gradient_released
from polyhead.progress import Progress

Score = Callable[[PreTrainedModel, Sequence[Batch], "Options"], HeadScores]


@dataclass(frozen=True)
class Options:
    """What a call to `score_heads` may choose; each method takes what concerns it."""

    seed: int
    per: Per
    precision: Precision | Literal["auto"]
    progress: Progress | None


@dataclass(frozen=True)
class Method:
    """One row: what a user must know before choosing, and what the conformance tests hold the method to.

    Attributes:
        name: What users write.
        summary: What it measures.
        score: The function, in the one form of call.
        forward_passes: Over the data.
        backward_passes: Over the data.
        needs_labels: Whether unlabelled text is not enough.
        sign: `absolute`, `signed` (negative: the head harms) or `none`.
        dead_head_is_zero: A head whose output columns are zero scores 0.
        finds_planted: A head that alone carries the label comes out on top.
        batch_invariant: Neither batch size, nor order, nor padding changes the score.
        source: Where it is from.
    """

    name: str
    summary: str
    score: Score
    forward_passes: int
    backward_passes: int
    needs_labels: bool
    sign: Literal["absolute", "signed", "none"]
    dead_head_is_zero: bool
    finds_planted: bool
    batch_invariant: bool
    source: str


METHODS: dict[str, Method] = {
    row.name: row
    for row in (
        Method(
            "gradient",
            "how much each sentence's loss moves with the head's gate; mean absolute value over sentences",
            lambda model, batches, options: gradient(
                model, batches, per=options.per, precision=options.precision, progress=options.progress
            ),
            forward_passes=1,
            backward_passes=1,
            needs_labels=True,
            sign="absolute",
            dead_head_is_zero=True,
            finds_planted=True,
            batch_invariant=True,
            source="Michel et al. 2019; Ma et al. 2021",
        ),
        Method(
            "weight-gradient",
            "mean absolute gradient of the head's rows of the key and value weights",
            lambda model, batches, options: weight_gradient(
                model, batches, precision=options.precision, progress=options.progress
            ),
            forward_passes=1,
            backward_passes=1,
            needs_labels=True,
            sign="absolute",
            dead_head_is_zero=True,
            finds_planted=True,
            batch_invariant=False,
            source="Ma et al. 2021, axis mended",
        ),
        Method(
            "weight-gradient-released",
            "the same on slices of the layer's input: not heads at all; for comparison only",
            lambda model, batches, options: weight_gradient_released(
                model, batches, precision=options.precision, progress=options.progress
            ),
            forward_passes=1,
            backward_passes=1,
            needs_labels=True,
            sign="absolute",
            dead_head_is_zero=False,
            finds_planted=False,
            batch_invariant=False,
            source="released code of Ma et al. 2021 (wrong axis)",
        ),
        Method(
            "magnitude",
            "norm of the head's share of W_V W_O",
            lambda model, batches, options: magnitude(model),
            forward_passes=0,
            backward_passes=0,
            needs_labels=False,
            sign="absolute",
            dead_head_is_zero=True,
            finds_planted=False,
            batch_invariant=True,
            source="baseline",
        ),
        Method(
            "random",
            "seeded random numbers",
            lambda model, batches, options: random(model, seed=options.seed),
            forward_passes=0,
            backward_passes=0,
            needs_labels=False,
            sign="none",
            dead_head_is_zero=False,
            finds_planted=False,
            batch_invariant=True,
            source="control",
        ),
    )
}


def method(name: str) -> Method:
    """The row of that name.

    Raises:
        UnknownNameError: There is none.
    """
    if name not in METHODS:
        raise UnknownNameError(f"method {name!r}: expected one of {', '.join(METHODS)}")
    return METHODS[name]


def score_heads(
    name: str,
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    seed: int = 42,
    per: Per = "sentence",
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> HeadScores:
    """Importance of every head, `[layers, heads]`, higher = more important, by the method of that name.

    Costs what the method's row says. The model is left as it was found. Heads that it no longer has are NaN.

    Args:
        name: A row of `METHODS`.
        model: A token classifier, pruned or not.
        batches: Labelled sentences from `scoring_batches`; never those of a test split. Methods that look at no data ignore them.
        seed: Of methods that draw random numbers.
        per: What `gradient` takes the absolute value of: a sentence's, a token's or a batch's gradient.
        precision: Of the matrix products; `auto` is bf16 where the device has units for it.
        progress: Told of every batch.

    Raises:
        UnknownNameError: No row has this name.
        SettingError: No labelled word, where labels are needed; or `per` for another method than `gradient`.
    """
    row = method(name)
    if per != "sentence" and name != "gradient":
        raise SettingError(f"per {per!r} with method {name!r}: only gradient can choose it; leave per out")
    return row.score(model, batches, Options(seed, per, precision, progress))
