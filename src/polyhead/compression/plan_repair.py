"""Models pruned to a plan of heads and neurons, and repaired without training."""

import copy
from collections.abc import Sequence
from typing import Literal, TypeVar

from transformers import PreTrainedModel

from polyhead.compression.refit import refit
from polyhead.compression.repair import Repair, fold_means
from polyhead.core.neurons import Plan
from polyhead.core.progress import Progress
from polyhead.learning.batching import Batch
from polyhead.learning.head_means import head_means
from polyhead.models.devices import PrecisionChoice
from polyhead.models.pruning import prune

Model = TypeVar("Model", bound="PreTrainedModel")


def pruned_to(
    model: Model,
    plan: Plan,
    batches: Sequence[Batch],
    *,
    how: Repair | Literal["none"],
    precision: PrecisionChoice = "auto",
    progress: Progress | None = None,
) -> Model:
    """A copy of the model, pruned to the plan and repaired; the given model is not changed.

    `means` gives the mean output of pruned heads to the bias of their layer. `refit` fits the heads and neurons that are kept by
    least squares, layer by layer (see `polyhead.compression.refit`), which also corrects what lower layers lost. Pruned neurons
    are not replaced by their means: those of special tokens are so large in some encoders that their mean, added to every word,
    costs more than all of the neurons. Needs no labels. Costs the memory of a second model, and one forward pass for `means` or
    up to eight for `refit`.

    Args:
        model: Fine-tuned, pruned or not.
        plan: What to keep.
        batches: Text from the target domain, from `scoring_batches`; a few hundred sentences are enough. Not read for `none`.
        how: `means`, `refit`, or `none`.
        precision: Of matrix products; use that of later inference.
        progress: Updated after every batch.

    Raises:
        SettingError: The plan does not have the unpruned model's shape, or there is no batch.
        ArchitectureError: The family has no row, or a projection that would have to be repaired has no bias.
    """
    small = copy.deepcopy(model)
    if how == "means":
        fold_means(small, plan.heads, head_means(model, batches, precision=precision, progress=progress))
    prune(small, plan.heads, neurons=plan.neurons)
    return refit(small, model, batches, precision=precision, progress=progress) if how == "refit" else small
