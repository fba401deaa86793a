"""Repair without training of a model that loses heads: their mean output kept as a bias, the heads that stay rescaled."""

import copy
from collections.abc import Sequence
from typing import Literal, TypeVar

from torch import Tensor
from transformers import PreTrainedModel

from polyhead.compression.refit import bias_of, check_shape, overwrite, refit
from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress
from polyhead.learning.batching import Batch
from polyhead.learning.head_means import head_means
from polyhead.models.architectures import attention_sites, full_mask
from polyhead.models.devices import Precision
from polyhead.models.pruning import prune

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
    """A copy of the model with the heads outside `mask` cut out and the others repaired; the model given is left as it was.

    The result is an ordinary pruned model: as many weights as without repair, saved and loaded like any other. Labels are not
    used. Costs the memory of a second model, and one forward pass for `means` or up to four for `refit`.

    Args:
        model: Fine-tuned, pruned or not.
        mask: True = keep, `[layers, heads]` of the unpruned model.
        batches: Text like that on which the model will be used, from `scoring_batches`; a few hundred sentences will do.
        how: `means`: see `fold_means`. `refit`: see `refit`.
        precision: Of the matrix products; take that in which the model will be used.
        progress: Told of every batch.

    Raises:
        SettingError: `how` is unknown, the mask has another shape than the unpruned model, or there is no batch.
        ArchitectureError: The family has no row in `ARCHITECTURES`, or an output projection has no bias.
    """
    if how not in ("means", "refit"):
        raise SettingError(f"repair {how!r}: expected means or refit")
    if how == "refit":
        return refit(prune(copy.deepcopy(model), mask), model, batches, precision=precision, progress=progress)
    means = head_means(model, batches, precision=precision, progress=progress)
    return prune(fold_means(copy.deepcopy(model), mask, means), mask)


def fold_means(model: Model, mask: HeadMask, means: Tensor) -> Model:
    """The same model, changed in place: what the heads outside `mask` put out on average stands in the biases as well.

    To be called before `prune(model, mask)`; then the pruned model's logits equal those under `gated(model, mask, fill=means)`.

    Args:
        model: Still with the heads that will go.
        mask: True = keep, `[layers, heads]` of the unpruned model.
        means: `[layers, heads, head_dim]`, from `head_means`.

    Raises:
        SettingError: The mask or the means have another shape than the unpruned model.
        ArchitectureError: A layer loses heads and its output projection has no bias.
    """
    check_shape(mask, full_mask(model))
    sites = attention_sites(model)
    if [*means.shape] != [mask.n_layers, mask.n_heads, sites[0].head_dim]:
        raise SettingError(
            f"means of shape {[*means.shape]}: expected {[mask.n_layers, mask.n_heads, sites[0].head_dim]}, as head_means gives"
        )
    going = {site: [i for i, head in enumerate(site.kept) if not mask.keep[site.layer, head]] for site in sites}
    biases = {site: bias_of(site) for site, blocks in going.items() if blocks}
    for site, bias in biases.items():
        columns = site.head_columns()[going[site]].flatten()
        lost = means[site.layer, [site.kept[block] for block in going[site]]].cpu().double().flatten()
        overwrite(bias, bias.detach().cpu().double() + site.output.weight.detach().cpu().double()[:, columns] @ lost)
    return model
