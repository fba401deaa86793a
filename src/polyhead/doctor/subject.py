"""The model under examination with its text, copies of it, and the comparison of logits and scores."""

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
from polyhead.core.neurons import NeuronMask
from polyhead.core.progress import Progress
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.doctor.state import State
from polyhead.importance.method import Method
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import Batch, scoring_batches, training_batches
from polyhead.learning.encoded import Encoded
from polyhead.learning.encoding import model_limit
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.models.model_heads import head_mask
from polyhead.models.model_neurons import neuron_mask
from polyhead.models.pruning import fitted

MaskKind = Literal[
    "nothing", "one head", "all heads of a layer", "all heads of a layer but one", "every head", "a random half of the heads"
]
Kernel = Literal["sdpa", "eager"]

_EXTRA_PADDING = 16


@dataclass(frozen=True, eq=False)
class Subject:
    """The model under examination, its text, and the settings of scoring.

    Attributes:
        model: The user's model in float32: scored and gated itself, copied wherever a check changes something.
        encoded: The sample of text.
        task: The model's task.
        labels: Labels of its outputs.
        row: Row of the importance method, with its promises.
        seed: Random seed of methods and of the heads chosen for a check.
        options: The method's own, as for `score_heads`.
        split: Split of the text, if known.
        before: State of the model before the first check.
    """

    model: PreTrainedModel
    encoded: Encoded
    task: Task
    labels: LabelSet
    row: Method
    seed: int
    options: object
    split: str | None
    before: State

    @property
    def batches(self) -> list[Batch]:
        """The sample as `rank` batches it."""
        return scoring_batches(self.encoded)

    def in_file_order(self, size: int, *, pad_to: int | None = None) -> list[Batch]:
        """The sample in batches of `size` sentences, unsorted."""
        return training_batches(self.encoded, batch_size=size, order="file", seed=0, epoch=0, pad_to=pad_to)

    @property
    def padded_length(self) -> int:
        """More tokens than the longest window of the sample, if the model has enough positions."""
        longest = max(len(window.input_ids) for window in self.encoded.windows)
        wanted, limit = longest + _EXTRA_PADDING, model_limit(self.model.config)
        return wanted if limit is None else max(longest, min(wanted, limit))

    @cached_property
    def usual(self) -> HeadScores:
        """Scores of the model on the whole sample, the reference of most checks."""
        return self.score(self.model, self.batches)

    def score(self, model: PreTrainedModel, batches: Sequence[Batch], *, progress: Progress | None = None) -> HeadScores:
        """Scores by the method, in float32 (float64 for a float64 model)."""
        return score_heads(
            self.row.name, model, batches, seed=self.seed, precision="fp32", progress=progress, options=self.options
        )

    def mask(self, kind: MaskKind) -> HeadMask:
        """A random mask of that kind, `fitted`, over the heads that the model still has; heads already pruned stay pruned."""
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
        return fitted(self.model, HeadMask(keep))

    def half_the_neurons(self) -> NeuronMask:
        """A random mask that keeps half of the neurons that the model still has."""
        keep = neuron_mask(self.model).keep.copy()
        present = np.argwhere(keep)
        dropped = np.random.default_rng(self.seed).choice(len(present), size=len(present) // 2, replace=False)
        keep[tuple(present[dropped].T)] = False
        return NeuronMask(keep)


def copied(model: PreTrainedModel) -> PreTrainedModel:
    """A copy in eval mode that shares the input embedding, which is by far the largest weight and which no check changes."""
    shared = model.get_input_embeddings().weight
    return copy.deepcopy(model, {id(shared): shared}).eval()


def kernels(model: PreTrainedModel) -> tuple[str, ...]:
    """Names of the attention kernels to try, the model's own first."""
    known: tuple[Kernel, ...] = ("sdpa", "eager") if model._supports_sdpa else ("eager",)
    return tuple(dict.fromkeys((model.config._attn_implementation, *known)))


def under_kernel(model: PreTrainedModel, kernel: str) -> PreTrainedModel:
    """The model itself if it uses that attention kernel, else a copy that does."""
    if model.config._attn_implementation == kernel:
        return model
    other = copied(model)
    other.set_attn_implementation(kernel)
    return other


def text_logits(model: PreTrainedModel, batches: Sequence[Batch]) -> Tensor:
    """Logits `[tokens, labels]` of all positions except padding, or of all rows, in eval mode, without gradients."""
    device = next(model.parameters()).device
    found = []
    with scoring_mode(model, "fp32"), torch.no_grad():
        for batch in batches:
            here = batch.to(device)
            logits = model(**here.short_inputs).logits
            found.append(logits if logits.dim() == 2 else logits[here.attention_mask.bool()])
    return torch.cat(found)


def logits_apart(found: Tensor, expected: Tensor) -> float:
    """Largest difference of two sets of logits, divided by the largest expected one if that is above 1.

    Small logits thus have an absolute bound, and large ones a relative bound, as float32 rounding requires.
    """
    if found.shape != expected.shape:
        return float("inf")
    if not found.numel():
        return 0.0
    return float((found - expected).abs().max() / expected.abs().max().clamp(min=1))


def scores_apart(found: NDArray[np.float64], expected: NDArray[np.float64]) -> float:
    """Largest difference of two matrices of scores relative to the largest expected score; infinite if other heads are NaN.

    Scores have no fixed scale (the gradient of the loss may be 1e-4 for every head), so an absolute bound would be meaningless.
    """
    present = ~np.isnan(expected)
    if not np.array_equal(present, ~np.isnan(found)):
        return float("inf")
    apart = np.abs(found - expected)[present].max(initial=0.0)
    largest = np.abs(expected)[present].max(initial=0.0)
    return float(apart / largest) if apart else 0.0
