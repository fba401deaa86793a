"""Scores that look at no data: the size of a head's weights, and chance."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from polyhead.core.heads import HeadMask, HeadScores
from polyhead.importance.data_pass import zeros
from polyhead.importance.method import Call
from polyhead.learning.batching import Batch
from polyhead.models.model_heads import attention_sites


def magnitude(model: PreTrainedModel, batches: Sequence[Batch], call: Call) -> HeadScores:
    """Importance `[layers, heads]`, 0 or more: ‖W_V W_O‖, the Frobenius norm of the head's rows of W_V times its columns of W_O.

    It is what the head can at most write per unit of input. Costs no pass over data; `batches` are not read.

    Source: baseline.
    """
    values = zeros(model)
    with torch.no_grad():
        for site in attention_sites(model):
            for head, rows, columns in zip(site.kept, site.head_rows("value"), site.head_columns(), strict=True):
                value = site.value.weight[rows].cpu().double()  # [head_dim, width]; MPS has no float64
                output = site.output.weight[:, columns].cpu().double()  # [width, head_dim]
                # ‖OV‖² = trace(OᵀO · VVᵀ): two small products instead of one [width, width]
                values[site.layer, head] = float(((output.T @ output) * (value @ value.T).T).sum().clamp(min=0).sqrt())
    return HeadScores(values, call.method)


def random_scores(present: HeadMask, *, seed: int) -> HeadScores:
    """Scores `[layers, heads]` drawn evenly from [0, 1) by `seed`, for the heads that a model has: the control.

    Their sign has no meaning. Costs no pass over data.
    """
    values = np.random.default_rng(seed).random(present.keep.shape)
    return HeadScores(np.where(present.keep, values, np.nan), "random", settings={"seed": seed})
