"""Scores that look at no data: the size of a head's weights, its layer, and chance."""

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


def depth_scores(present: HeadMask) -> HeadScores:
    """Scores `[layers, heads]`, minus the number of the head's layer, counted from 1, for the heads that a model has.

    The lowest-first order takes whole layers from the top. All heads of a layer have one score, and `rank` puts them in the order
    of their numbers. Costs no pass over data.

    Source: Sajjad et al. 2023, which drops whole top layers; here their attention alone.
    """
    layers = -np.arange(1.0, 1 + present.keep.shape[0])
    return HeadScores(np.where(present.keep, layers[:, None], np.nan), "depth")


def random_scores(present: HeadMask, *, seed: int) -> HeadScores:
    """Scores `[layers, heads]` drawn evenly from [0, 1) by `seed`, for the heads that a model has: the control.

    Their sign has no meaning. Costs no pass over data.
    """
    values = np.random.default_rng(seed).random(present.keep.shape)
    return HeadScores(np.where(present.keep, values, np.nan), "random", settings={"seed": seed})
