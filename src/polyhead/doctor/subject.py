"""What is examined: a model with its text, copies of it, and the two ways in which results are compared."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.heads import HeadMask, HeadScores
from polyhead.core.progress import Progress
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.doctor.state import State
from polyhead.importance import methods
from polyhead.importance.method import Method
from polyhead.learning.batching import Batch, scoring_batches, training_batches
from polyhead.learning.encoding import Encoded, model_limit
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.models.architectures import head_mask

Cut = Literal[
    "nothing", "one head", "all heads of a layer", "all heads of a layer but one", "every head", "a random half of the heads"
]
Kernel = Literal["sdpa", "eager"]

_EXTRA_PADDING = 16


@dataclass(frozen=True, eq=False)
class Subject:
    """What is examined, and how it is scored.

    Attributes:
        model: The user's own, float32: scored and gated as it is, copied wherever a check changes something.
        encoded: The sample of text.
        task: What the model does.
        labels: What its outputs mean.
        method: Name of the importance method.
        seed: Of methods that draw, and of the heads chosen for a check.
        options: The method's own, as for `score_heads`.
        split: Of the text, where it is known.
        before: The model as it was found.
    """

    model: PreTrainedModel
    encoded: Encoded
    task: Task
    labels: LabelSet
    method: str
    seed: int
    options: object
    split: str | None
    before: State

    @property
    def row(self) -> Method:
        """The method's row, with what it promises."""
        return methods.method(self.method)

    @property
    def batches(self) -> list[Batch]:
        """The sample as `rank` batches it."""
        return scoring_batches(self.encoded)

    def in_file_order(self, size: int, *, pad_to: int | None = None) -> list[Batch]:
        """The sample in batches of `size` sentences, unsorted."""
        batches = training_batches(self.encoded, batch_size=size, order="file", seed=0, epoch=0, pad_to=pad_to)
        return list(batches)

    @property
    def padded_length(self) -> int:
        """More tokens than the longest window of the sample has, where the model has positions for that."""
        longest = max(len(window.input_ids) for window in self.encoded.windows)
        wanted, limit = longest + _EXTRA_PADDING, model_limit(self.model.config)
        return wanted if limit is None else max(longest, min(wanted, limit))

    @cached_property
    def usual(self) -> HeadScores:
        """Scores of the model on the whole sample, which most checks compare with."""
        return self.score(self.model, self.batches)

    def score(self, model: PreTrainedModel, batches: Sequence[Batch], *, progress: Progress | None = None) -> HeadScores:
        """Scores by the method, in float32 (float64 for a model of float64)."""
        return methods.score_heads(
            self.method,
            model,
            batches,
            seed=self.seed,
            precision="fp32",
            progress=progress,
            options=self.options,
        )

    def cut(self, kind: Cut) -> HeadMask:
        """A mask of that kind over the heads that the model still has, drawn by the seed; heads gone are not kept."""
        keep = head_mask(self.model).keep.copy()
        random = np.random.default_rng(self.seed)
        present = np.argwhere(keep)
        if kind == "nothing" or not len(present):
            return HeadMask(keep)
        layer, head = random.choice(present)
        if kind == "one head":
            keep[layer, head] = False
        elif kind == "a random half of the heads":
            keep[tuple(random.choice(present, size=(len(present) + 1) // 2, replace=False).T)] = False
        elif kind == "every head":
            keep[:] = False
        else:
            keep[layer] = False
            keep[layer, head] = kind == "all heads of a layer but one"
        return HeadMask(keep)


def copied(model: PreTrainedModel) -> PreTrainedModel:
    """A copy in eval mode, which shares the weights of the input embedding: the largest by far, and no check writes to them."""
    shared = model.get_input_embeddings().weight
    return copy.deepcopy(model, {id(shared): shared}).eval()


def kernels(model: PreTrainedModel) -> tuple[str, ...]:
    """Names of the attention kernels to try: the one that the model runs with first."""
    known: tuple[Kernel, ...] = ("sdpa", "eager") if model._supports_sdpa else ("eager",)
    return tuple(dict.fromkeys((model.config._attn_implementation, *known)))


def under_kernel(model: PreTrainedModel, kernel: str) -> PreTrainedModel:
    """The model itself if it runs with that attention kernel, else a copy that does."""
    if model.config._attn_implementation == kernel:
        return model
    other = copied(model)
    other.set_attn_implementation(kernel)
    return other


def text_logits(model: PreTrainedModel, batches: Sequence[Batch]) -> Tensor:
    """Logits `[tokens, labels]` of all positions but padding, in eval mode, without a graph."""
    device = next(model.parameters()).device
    found = []
    with scoring_mode(model, "fp32"), torch.no_grad():
        for batch in batches:
            here = batch.to(device)
            mask = here.attention_mask if here.has_padding else None
            found.append(model(input_ids=here.input_ids, attention_mask=mask).logits[here.attention_mask.bool()])
    return torch.cat(found)


def logits_apart(found: Tensor, expected: Tensor) -> float:
    """Largest difference of two sets of logits, divided by the largest expected one where that is above 1.

    So small logits are held to an absolute bound, and large ones to what float32 can hold of them.
    """
    if found.shape != expected.shape:
        return float("inf")
    if not found.numel():
        return 0.0
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1))


def scores_apart(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Largest difference of two matrices of scores, divided by the largest expected size; infinite if other heads are NaN.

    Scores have no scale of their own (a loss's gradient may be 1e-4 for every head), so no absolute bound would mean anything.
    """
    present = ~np.isnan(expected)
    if not np.array_equal(present, ~np.isnan(found)):
        return float("inf")
    apart = np.abs(found - expected)[present].max(initial=0.0)
    largest = np.abs(expected)[present].max(initial=0.0)
    return float(apart / largest) if apart else 0.0
