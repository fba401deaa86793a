"""Models pruned to a plan of heads and neurons, and repaired without training."""

import copy
from collections.abc import Sequence
from typing import Literal, TypeVar

import torch
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.compression.layer_calls import overwrite
from polyhead.compression.refit import refit
from polyhead.compression.refit_neurons import bias_of_neurons
from polyhead.compression.repair import Repair, fold_means
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.core.progress import Progress
from polyhead.learning.batching import Batch
from polyhead.learning.head_means import head_means, mean_inputs
from polyhead.models.devices import PrecisionChoice
from polyhead.models.model_neurons import full_neurons, neuron_sites
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

    `means` gives the mean output of pruned heads and neurons to the biases of their layers; `refit` fits what is kept by least
    squares (see `polyhead.compression.refit`), which also corrects what lower layers lost. Needs no labels. Costs the memory of a
    second model, and two forward passes for `means` or up to eight for `refit`.

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
        fold_neuron_means(small, plan.neurons, neuron_means(model, batches, precision=precision, progress=progress))
        fold_means(small, plan.heads, head_means(model, batches, precision=precision, progress=progress))
    prune(small, plan.heads, neurons=plan.neurons)
    return refit(small, model, batches, precision=precision, progress=progress) if how == "refit" else small


def neuron_means(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    precision: PrecisionChoice = "auto",
    progress: Progress | None = None,
) -> Tensor:
    """Mean activation of each neuron, `[layers, neurons]`, float64 on the CPU; zeros for pruned ones. See `head_means`."""
    sites = [site for site in neuron_sites(model) if site.kept]
    outputs = [site.output for site in sites]
    found = mean_inputs(model, outputs, batches, precision=precision, what="neuron means", progress=progress)
    means = torch.zeros(full_neurons(model).shape, dtype=torch.float64)
    for site, own in zip(sites, found, strict=True):
        means[site.layer, list(site.kept)] = own
    return means


def fold_neuron_means(model: Model, mask: NeuronMask, means: Tensor) -> Model:
    """The same model, changed in place: the mean outputs of neurons outside `mask` are added to the biases.

    Call it before `prune`; the pruned model's logits then equal those with these neurons replaced by their means.

    Args:
        model: Not yet pruned to `mask`.
        mask: True = keep, `[layers, neurons]` of the unpruned model.
        means: `[layers, neurons]`, from `neuron_means`.

    Raises:
        ArchitectureError: A layer loses neurons and its output projection has no bias.
    """
    for site in neuron_sites(model):
        lost = [place for place, neuron in enumerate(site.kept) if not mask.keep[site.layer, neuron]]
        if not lost:
            continue
        bias = bias_of_neurons(site)
        own = means[site.layer, [site.kept[place] for place in lost]]
        overwrite(bias, bias.detach().cpu().double() + site.output.weight.detach().cpu().double()[:, lost] @ own)
    return model
