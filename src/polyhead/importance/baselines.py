"""Scores that look at no data: the size of a head's weights, and chance."""

import time

import numpy as np
import torch
from transformers import PreTrainedModel

from polyhead.core.heads import HeadMask, HeadScores
from polyhead.models.architectures import attention_sites, head_mask


def magnitude(model: PreTrainedModel) -> HeadScores:
    """Importance `[layers, heads]`: Frobenius norm of each head's share of W_V W_O, what it can at most write per unit of input.

    Costs no pass over data: `head_dim` columns times `head_dim` rows a head.
    """
    started = time.perf_counter()
    present = head_mask(model)
    values = np.where(present.keep, 0.0, np.nan)
    with torch.no_grad():
        for site in attention_sites(model):
            for head, rows, columns in zip(site.kept, site.head_rows("value"), site.head_columns(), strict=True):
                value = site.value.weight[rows].cpu().double()  # [head_dim, width]; MPS has no float64
                output = site.output.weight[:, columns].cpu().double()  # [width, head_dim]
                # ‖OV‖² = trace(OᵀO · VVᵀ): two small products instead of one [width, width]
                values[site.layer, head] = float(((output.T @ output) * (value @ value.T).T).sum().clamp(min=0).sqrt())
    return HeadScores(values, "magnitude", seconds=time.perf_counter() - started)


def random(model: PreTrainedModel, *, seed: int) -> HeadScores:
    """Scores `[layers, heads]` drawn evenly from [0, 1) by `seed`: the control."""
    return random_scores(head_mask(model), seed=seed)


def random_scores(present: HeadMask, *, seed: int) -> HeadScores:
    """The same for heads of which it is known that they are there, without a model."""
    values = np.random.default_rng(seed).random(present.keep.shape)
    return HeadScores(np.where(present.keep, values, np.nan), "random", settings={"seed": seed})
