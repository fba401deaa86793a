"""How pointed a head's attention is: confidence and entropy (Voita et al. 2019). Neither looks at what the head writes."""

import time
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.core.progress import Progress, Silent
from polyhead.importance.attention_weights import each_attention
from polyhead.learning.batching import Batch
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.models.architectures import AttentionSite, head_mask
from polyhead.models.devices import Precision, pick_precision

# logarithms of weights `[rows, heads, queries, keys]`, −inf on keys that are not text → a figure for every query
Shape = Callable[[Tensor], Tensor]


def confidence(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> HeadScores:
    """Importance `[layers, heads]`, 0..1: the mean over queries of the largest weight that the head gives to one key.

    Queries and keys are pieces of words: special tokens and padding are neither, but special tokens keep their share of the
    weight, so a head that rests on `[SEP]` is not confident. The mean is taken over the queries of a sentence (of all its
    windows; pieces in an overlap count in each), then over sentences, labelled or not; `total` is the sum over sentences and `n`
    their number.

    What the head writes plays no part: a head whose output is multiplied by zero keeps its score. Costs one forward pass and no
    backward pass. The model is left as it was found.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`; neither their order nor their size matters. Labels are not looked at.
        precision: Of the matrix products of the model; weights are computed in float32 from its queries and keys.
        progress: Told of every batch.

    Raises:
        SettingError: There is no sentence.

    Source: Voita et al. 2019, "Analyzing multi-head self-attention".
    """
    return _scores(model, batches, "confidence", _largest, precision, progress)


def entropy(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> HeadScores:
    """Importance `[layers, heads]`: minus the mean entropy, in nats, of the weights that a query gives to the pieces of words.

    These weights are scaled to sum to one first: what goes to special tokens is left out, unlike in `confidence`. Scores run from
    −log(length) for a head that looks everywhere alike, to 0 for one that looks at one piece; that all are negative or 0 says
    nothing of harm. Sentences of few pieces have less entropy whatever the head, so compare heads on the same data only. Means,
    `total`, `n`, cost and arguments are those of `confidence`.

    Raises:
        SettingError: There is no sentence.

    Source: Voita et al. 2019, "Analyzing multi-head self-attention".
    """
    return _scores(model, batches, "entropy", _minus_entropy, precision, progress)


def _largest(log_weights: Tensor) -> Tensor:
    return log_weights.amax(dim=-1).exp()


def _minus_entropy(log_weights: Tensor) -> Tensor:
    logs = log_weights.log_softmax(dim=-1)
    return (logs.exp() * logs.masked_fill(logs == -torch.inf, 0)).sum(dim=-1)  # 0 log 0 = 0


def _scores(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    method: str,
    shape: Shape,
    precision: Precision | Literal["auto"],
    progress: Progress | None,
) -> HeadScores:
    present = head_mask(model)
    watch = progress or Silent()
    device = next(model.parameters()).device
    chosen = pick_precision(precision, device)
    total = np.where(present.keep, 0.0, np.nan)
    n = 0
    started = time.perf_counter()
    watch.start(len(batches), "score heads")
    try:
        with scoring_mode(model, chosen), torch.inference_mode():
            for batch in batches:
                sums, sentences = _sums(model, batch.to(device), shape, present.keep.shape, chosen)
                total += sums.cpu().double().numpy()  # in this order: MPS has no float64
                n += sentences
                watch.advance(1)
    finally:
        watch.stop()
    if n == 0:
        raise SettingError("no sentence to score heads on: check that the data has words")
    return HeadScores(
        values=total / n,
        method=method,
        total=total,
        n=n,
        seconds=time.perf_counter() - started,
        forward_passes=1,
        settings={"precision": chosen},
    )


def _sums(model: PreTrainedModel, batch: Batch, shape: Shape, size: tuple[int, ...], precision: Precision) -> tuple[Tensor, int]:
    """Sums `[layers, heads]` over the batch's sentences of the mean over each one's queries, and how many sentences."""
    text, n = batch.is_text, len(batch.sentences)
    dtype = torch.promote_types(model.dtype, torch.float32)
    found = torch.zeros(size, device=text.device, dtype=dtype)
    queries = torch.zeros(n, device=text.device, dtype=dtype).index_add(0, batch.rows, text.sum(dim=1).to(dtype))

    def receive(site: AttentionSite, log_weights: Tensor) -> None:
        by_query = shape(log_weights.masked_fill(~text[:, None, None, :], -torch.inf))
        by_row = by_query.masked_fill(~text[:, None, :], 0).sum(dim=-1)  # [rows, kept heads]
        by_sentence = by_row.new_zeros(n, len(site.kept)).index_add(0, batch.rows, by_row)
        found[site.layer, list(site.kept)] = (by_sentence / queries.clamp(min=1)[:, None]).sum(dim=0)

    each_attention(model, batch, receive, precision=precision)
    return found, int((queries > 0).sum())
