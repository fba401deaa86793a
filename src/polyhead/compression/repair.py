"""Repair of pruned models without training: mean outputs of pruned heads become biases, or the remaining heads are rescaled."""

import copy
from collections.abc import Sequence
from typing import Literal, TypeVar

from torch import Tensor
from transformers import PreTrainedModel

from polyhead.compression.layer_calls import bias_of, overwrite
from polyhead.compression.refit import refit
from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress
from polyhead.learning.batching import Batch
from polyhead.learning.head_means import head_means
from polyhead.models.devices import Precision
from polyhead.models.model_heads import attention_sites, full_mask
from polyhead.models.pruning import check_mask, prune

Model = TypeVar("Model", bound="PreTrainedModel")
Repair = Literal["means", "refit"]


def repaired(
    model: Model,
    mask: HeadMask,
    batches: Sequence[Batch],
    *,
    how: Repair,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> Model:
    """A copy of the model, pruned to `mask` and repaired; the given model is not changed.

    The result is an ordinary pruned model, with no more weights than without repair. Needs no labels. Costs the memory of a
    second model, and one forward pass for `means` or up to four for `refit`.

    Args:
        model: Fine-tuned, pruned or not.
        mask: True = keep, `[layers, heads]` of the unpruned model.
        batches: Text from the target domain, from `scoring_batches`; a few hundred sentences are enough.
        how: `means` calls `fold_means`, `refit` calls `refit`.
        precision: Of matrix products; use that of later inference.
        progress: Updated after every batch.

    Raises:
        SettingError: `how` is unknown, the mask does not have the unpruned model's shape, or there is no batch.
        ArchitectureError: The family has no row in `ARCHITECTURES`, or an output projection has no bias.
    """
    if how not in ("means", "refit"):
        raise SettingError(f"repair {how!r}: expected means or refit")
    if how == "refit":
        return refit(prune(copy.deepcopy(model), mask), model, batches, precision=precision, progress=progress)
    means = head_means(model, batches, precision=precision, progress=progress)
    return prune(fold_means(copy.deepcopy(model), mask, means), mask)


def fold_means(model: Model, mask: HeadMask, means: Tensor) -> Model:
    """The same model, changed in place: the mean outputs of heads outside `mask` are added to the biases.

    Call it before `prune(model, mask)`; the pruned model's logits then equal those under `gated(model, mask, fill=means)`.

    Args:
        model: Not yet pruned to `mask`.
        mask: True = keep, `[layers, heads]` of the unpruned model.
        means: `[layers, heads, head_dim]`, from `head_means`.

    Raises:
        SettingError: The mask or the means do not have the unpruned model's shape.
        ArchitectureError: A layer loses heads and its output projection has no bias.
    """
    check_mask(mask, full_mask(model))
    sites = attention_sites(model)
    if [*means.shape] != (expected := [*mask.shape, sites[0].head_dim]):
        raise SettingError(f"means of shape {[*means.shape]}: expected {expected}, as head_means gives")
    to_prune = {site: [i for i, head in enumerate(site.kept) if not mask.keep[site.layer, head]] for site in sites}
    biases = {site: bias_of(site) for site, blocks in to_prune.items() if blocks}
    for site, bias in biases.items():
        columns = site.head_columns()[to_prune[site]].flatten()
        lost = means[site.layer, [site.kept[block] for block in to_prune[site]]].cpu().double().flatten()
        overwrite(bias, bias.detach().cpu().double() + site.output.weight.detach().cpu().double()[:, columns] @ lost)
    return model
