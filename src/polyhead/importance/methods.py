"""One call that runs any importance method by name."""

import time
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from polyhead.core.arguments import require
from polyhead.core.errors import SettingError, UnknownNameError, allowed_names
from polyhead.core.heads import HeadScores, Normalisation
from polyhead.core.progress import Progress
from polyhead.importance.method import Call, Method, Receive
from polyhead.importance.table import METHODS
from polyhead.learning.batching import Batch
from polyhead.models.devices import PrecisionChoice, placement
from polyhead.models.model_heads import head_mask

__all__ = ["METHODS", "check_normalisation", "check_summed", "method", "score_heads"]


def method(name: str) -> Method:
    """The row of this name.

    Raises:
        UnknownNameError: No row has this name.
    """
    if name not in METHODS:
        raise UnknownNameError(f"method {name!r}: {allowed_names(name, METHODS)}")
    return METHODS[name]


def check_normalisation(name: str, normalisation: Normalisation) -> None:
    """Refuse an unknown method, and a normalisation that does not suit its scores, before anything is scored.

    Raises:
        UnknownNameError: No row has this name.
        SettingError: `paper` with a method whose scores may be negative.
    """
    if method(name).sign in ("signed", "negative") and normalisation == "paper":
        raise SettingError(
            f"method {name}: its scores may be negative, and dividing a layer by its sum (normalisation paper) can reverse "
            "their order; use normalisation none"
        )


def check_summed(name: str) -> None:
    """Refuse a method whose scores cannot be scaled as in the paper, which `combine = "summed"` does.

    Raises:
        SettingError: Its scores may be negative.
    """
    try:
        check_normalisation(name, "paper")
    except SettingError as error:
        why = str(error).rpartition(";")[0]
        raise SettingError(f"combine = 'summed': adds up scores scaled as in the paper, but {why}; use merged or each") from None


def score_heads(
    name: str,
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    seed: int = 42,
    precision: PrecisionChoice = "auto",
    progress: Progress | None = None,
    resume_file: Path | None = None,
    options: object = None,
    receive: Receive | None = None,
) -> HeadScores:
    """Importance of every head, `[layers, heads]`, higher = more important, by the named method.

    The method's row states the cost. The model is unchanged afterwards. Pruned heads are NaN.

    Args:
        name: A row of `METHODS`.
        model: A token classifier, pruned or not.
        batches: Labelled sentences from `scoring_batches`; never those of a test split. Methods that need no data ignore them.
        seed: Random seed.
        precision: Precision of matrix products; `auto` is bf16 where the device supports it.
        progress: Updated as work is done.
        resume_file: Partial results of a long method; a second call continues from there. The caller removes it.
        options: The method's own options: an object of its row's type, such as `ShapleyOptions`, or a mapping by name.
        receive: Called with a batch, the scores of its sentences `[sentences, layers, heads]`, and the same without absolute
            values or None; more than once per batch where parts add up. Their mean over sentences is the score, so only
            methods with `sentence_mean` take it. Sentences without a labelled word have zeros.

    Raises:
        UnknownNameError: No row has this name.
        SettingError: `receive` with a method whose score is not a mean over sentences; no labelled word where labels are needed;
            a bad seed, precision or option; or a head without a finite score, which NaN or infinite weights cause.
        StoreError: `resume_file` holds other work, or cannot be written.

    >>> import polyhead as ph
    >>> tagger = ph.Tagger.load("polyhead/tiny", task="pos", seed=42)
    >>> batches = ph.scoring_batches(tagger.encode(ph.sample(ph.open_corpus("phrases/en", "dev"), 16, seed=1)))
    >>> scores = score_heads("gradient", tagger.model, batches)
    >>> scores.values.shape, scores.n, scores.backward_passes
    ((4, 8), 16, 1)
    """
    row = checked_method(name, model, batches, seed)
    if receive is not None and not row.sentence_mean:
        raise SettingError(f"method {name}: its score is not a mean over sentences, so sentences have none; leave out `receive`")
    call = Call(
        method=name,
        seed=seed,
        precision=placement(model, precision=precision)[1],
        progress=progress,
        resume_file=resume_file,
        options=row.chosen(options),
        receive=receive,
    )
    return scored(row, model, batches, call)


def checked_method(name: str, model: PreTrainedModel, batches: Sequence[Batch], seed: int) -> Method:
    """The row of this name, once the other arguments are of the right types.

    Raises:
        TypeError: One is not.
        UnknownNameError: No row has this name.
        SettingError: The seed is negative.
    """
    require(name=(name, str), model=(model, nn.Module), batches=(batches, Sequence), seed=(seed, Integral))
    for batch in batches:
        require(batches=(batch, Batch))
    row = method(name)
    if seed < 0:
        raise SettingError(f"seed {seed}: expected a whole number from 0")
    return row


def scored(row: Method, model: PreTrainedModel, batches: Sequence[Batch], call: Call) -> HeadScores:
    """The scores of a method, with the time it took.

    Raises:
        SettingError: A head of the model has no finite score; and what the method raises.
    """
    started = time.perf_counter()
    scores = row.score(model, batches, call)
    if not scores.seconds:  # a method that resumes counts the seconds of all calls
        scores = replace(scores, seconds=time.perf_counter() - started)
    check_finite_scores(row.name, model, scores.values, head_mask(model).keep)
    return scores


def check_finite_scores(
    name: str, model: PreTrainedModel, values: NDArray[np.float64], keep: NDArray[np.bool_], *, one: str = "head"
) -> None:
    """Refuse scores that NaN or infinite weights made useless.

    Raises:
        SettingError: Something that is kept has no finite score.
    """
    if (bad := np.argwhere(keep & ~np.isfinite(values))).size:
        names = [key for key, weight in model.named_parameters() if not bool(weight.isfinite().all())]
        why = f"the weights {names[0]} hold NaN or infinity" if names else "the model's losses are not finite"
        raise SettingError(
            f"method {name}: {one} {bad[0][0]}.{bad[0][1]} has no finite score; {why}: load another checkpoint, or train again "
            "with a lower learning rate"
        )
