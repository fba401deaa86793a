"""A pass over the data with the model in scoring mode, and the scores that are means of what it adds up."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.core.progress import tracking
from polyhead.importance.method import Call
from polyhead.learning.batching import Batch
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.models.model_heads import head_mask


@contextmanager
def data_pass(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    call: Call,
    *,
    trained: tuple[Tensor, ...] = (),
    done: int = 0,
    what: str = "score heads",
) -> Iterator[Iterator[Batch]]:
    """A block with the model in scoring mode; yields the batches one by one, on the model's device.

    Asking for the next batch reports the last one as done. The model and the progress bar are restored after the block, also
    after an exception.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`.
        call: Its precision and progress bar are used.
        trained: Weights that require gradients inside the block; all others are frozen.
        done: Batches that an earlier call finished; they are skipped.
        what: Label of the progress bar.
    """
    device = next(model.parameters()).device
    with tracking(call.progress, len(batches), what) as advance, scoring_mode(model, call.precision, trained=trained):

        def one_by_one() -> Iterator[Batch]:
            for batch in batches[done:]:
                yield batch.to(device)
                advance(1)

        if done:
            advance(done)
        yield one_by_one()


def labelled_sentences(batches: Sequence[Batch]) -> int:
    """N, the number of sentences with a labelled word.

    Raises:
        SettingError: There is none.
    """
    n = sum(int(batch.rows[batch.anchor_rows[batch.anchor_labels != -100]].unique().numel()) for batch in batches)
    if n == 0:
        raise SettingError("no sentence has a labelled word, so no head can be scored: check the label column of the data")
    return n


def zeros(model: PreTrainedModel) -> NDArray[np.float64]:
    """Zeros `[layers, heads]` to add to; NaN for pruned heads."""
    return np.where(head_mask(model).keep, 0.0, np.nan)


def report_sentences(call: Call, batch: Batch, values: Tensor, signed: Tensor | None = None) -> None:
    """Give the scores of the batch's sentences, `[sentences, layers, heads]`, to whoever asked for them."""
    if call.receive is not None:
        call.receive(batch, wide(values), None if signed is None else wide(signed))


def wide(values: Tensor) -> NDArray[np.float64]:
    """The values in float64 on the CPU, moved there first: MPS has no float64."""
    return values.cpu().double().numpy()


def mean_scores(
    call: Call,
    total: NDArray[np.float64],
    n: int,
    *,
    signed: NDArray[np.float64] | None = None,
    forward: float = 1,
    backward: float = 0.0,
    settings: Mapping[str, Any] | None = None,
) -> HeadScores:
    """Scores that are `total` / `n`, and likewise `signed`, after so many forward and backward passes over the data."""
    return HeadScores(
        values=total / n,
        method=call.method,
        signed=None if signed is None else signed / n,
        total=total,
        n=n,
        forward_passes=forward,
        backward_passes=backward,
        settings={**(settings or {}), "precision": call.precision},
    )
