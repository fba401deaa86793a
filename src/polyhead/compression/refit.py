"""Least-squares repair on unlabelled text: factors for the remaining heads, and new output weights for the remaining neurons."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.compression.layer_calls import NO_REFIT, Call, bias_of, overwrite, reach, running, through
from polyhead.compression.refit_neurons import Layer, measure_neurons, position_weights, solve_neurons
from polyhead.core.errors import ArchitectureError, SettingError
from polyhead.core.progress import Progress, tracking
from polyhead.learning.batching import Batch
from polyhead.models.devices import Precision, placement
from polyhead.models.model_heads import attention_sites, head_mask
from polyhead.models.model_neurons import neuron_sites, pruned_neurons
from polyhead.models.pruning import check_mask
from polyhead.models.sites import AttentionSite

Model = TypeVar("Model", bound="PreTrainedModel")

# Share of the mean diagonal entry; float32 noise in a direction that two heads share is about a tenth of this.
RIDGE = 1e-6


def refit(
    pruned: Model,
    full: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> Model:
    """`pruned`, changed in place: fits what is left of each layer so that hidden states come close to those of `full`.

    Goes from the lowest layer that lost something upwards. Let x' be the layer's input and u_h the output of its head h in the
    pruned model, whose lower layers are already refitted; x and y are the layer's input and attention output in the full model at
    the same positions. The factors g and the bias b minimise Σ |x + y − x' − b − Σ_h g_h u_h|² over all positions except padding,
    special tokens included, and are folded into the output projection. Because x and x' enter, a layer also corrects what lower
    layers could not. A ridge of 1e-6 of the mean squared norm pulls g to 1, so a dead head stays unchanged and two equal heads
    get equal factors. A layer without heads only gets the bias. The factors have no bounds.

    Where neurons were pruned, the feed-forward blocks follow in the same way, each after the attention of its layer: all output
    weights and the bias are fitted to the same kind of target, with a ridge that pulls the weights to what they are. The ridge,
    from 1e-3 to 1 of the mean diagonal entry, or infinite, is the one that does best on every other batch if fitted on the rest.
    Heads and neurons then count each position by one over the variance of what it should be, because norms divide by it: special
    tokens, whose hidden states are hundreds of times as large in some encoders, would decide alone otherwise.

    Costs at most two forward passes of each model for heads alone and four with neurons, and memory for two hidden states of the
    whole text; with neurons also for two matrices of neurons × neurons in float64 (150 MB for 3,072). Needs no labels. The full
    model, modes, `requires_grad` and hooks are not changed; an interruption leaves the lower layers refitted.

    Args:
        pruned: A copy of `full` with some heads or neurons pruned and nothing else changed, on the same device.
        full: The reference model.
        batches: From `scoring_batches`, in any order.
        precision: Of matrix products; sums are float64.
        progress: Updated after every batch in every layer.

    Raises:
        SettingError: There is no batch, or `pruned` has another size or a head or neuron that `full` lacks.
        ArchitectureError: The family has no row in `ARCHITECTURES`, an output projection has no bias, or layers share weights
            or do not run one after the other.

    Source: Kwon et al. 2022, "A fast post-training pruning framework for transformers" (mask tuning). Output weights by least
    squares: Frantar and Alistarh 2022, "Optimal brain compression".
    """
    steps = _steps(pruned, full)
    if not len(batches):
        raise SettingError("no sentences to refit on: give at least one batch")
    for step in steps:
        bias_of(step.site)
        if step.neurons is not None:
            bias_of(step.neurons[0].neurons)
        if step.site.uses > 1:
            raise ArchitectureError(f"layer {step.site.layer}: its weights serve {step.site.uses} layers, {NO_REFIT}")
    device, chosen = placement(full, precision=precision)
    n_steps = sum(step.heads + (step.neurons is not None) for step in steps)
    with tracking(progress, n_steps * len(batches), "refit") as advance, running(full, chosen):
        ours = theirs = [reach(full, step.whole.layer, batch.to(device), chosen) for step in steps[:1] for batch in batches]
        for step in steps:
            calls = theirs
            if step.heads:
                with running(pruned, chosen):
                    mean, centred, calls = _measure(step, ours, theirs, chosen, advance)
                _solve(step.site, mean, centred)
            if step.neurons is not None:
                with running(pruned, chosen):
                    target, calls = measure_neurons(*step.neurons, ours, theirs, chosen, advance)
                solve_neurons(step.neurons[0].neurons, target)
            theirs = calls
            if step is not steps[-1]:
                with running(pruned, chosen):
                    ours = [through(step.site, call, chosen)[2] for call in ours]
    return pruned


@dataclass(frozen=True, eq=False)
class _Step:
    """What is fitted in one layer.

    Attributes:
        site: Its attention in the pruned model.
        whole: The same in the full one.
        heads: Whether the heads are fitted.
        weighted: Whether positions are weighted, as they are where neurons were pruned.
        neurons: The layer in the pruned and in the full model if its neurons are fitted.
    """

    site: AttentionSite
    whole: AttentionSite
    heads: bool
    weighted: bool
    neurons: tuple[Layer, Layer] | None


def _steps(pruned: PreTrainedModel, full: PreTrainedModel) -> list[_Step]:
    before, after = head_mask(full), head_mask(pruned)
    check_mask(after, before)
    if (after.keep & ~before.keep).any():
        raise SettingError("the pruned model has heads that the full one lacks: give the model that it was pruned from")
    sites = list(zip(attention_sites(pruned), attention_sites(full), strict=True))
    lost = (before.keep != after.keep).any(axis=1)
    fewer = _fewer_neurons(pruned, full, before.n_layers)
    layers: list[tuple[Layer, Layer] | None] = [None] * len(sites)
    if fewer.any():
        blocks = zip(neuron_sites(pruned), neuron_sites(full), strict=True)
        layers = [(Layer(site, own), Layer(whole, other)) for (site, whole), (own, other) in zip(sites, blocks, strict=True)]
    # a layer's attention comes before its feed-forward block, and what comes first corrects nothing above it
    changed = np.stack([lost, fewer], axis=1).ravel().cumsum().reshape(-1, 2) > 0
    return [
        _Step(site, whole, bool(heads), layer is not None, layer if neurons else None)
        for (site, whole), layer, (heads, neurons) in zip(sites, layers, changed, strict=True)
        if heads or (neurons and layer is not None)
    ]


def _fewer_neurons(pruned: PreTrainedModel, full: PreTrainedModel, n_layers: int) -> NDArray[np.bool_]:
    """Which layers lost neurons."""
    after, before = pruned_neurons(pruned), pruned_neurons(full)
    if after is None:
        return np.zeros(n_layers, dtype=np.bool_)
    had = np.ones_like(after.keep) if before is None else before.keep
    if (after.keep & ~had).any():
        raise SettingError("the pruned model has neurons that the full one lacks: give the model that it was pruned from")
    fewer: NDArray[np.bool_] = (after.keep != had).any(axis=1)
    return fewer


def _measure(
    step: _Step,
    ours: Sequence[Call],
    theirs: Sequence[Call],
    precision: Precision,
    advance: Callable[[int], None],
) -> tuple[Tensor, Tensor, list[Call]]:
    """Moments of a layer's heads z in the pruned model and their target y, and the full model's calls of the next layer.

    The mean of z and y, `[columns + width]`, and the sums of products of z with both about their means,
    `[columns, columns + width]`; float64 on the CPU.
    """
    n, sums, products = 0.0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    calls = []
    for own, other in zip(ours, theirs, strict=True):
        z, _, _ = through(step.site, own, precision)
        _, y, call = through(step.whole, other, precision)
        calls.append(call)
        tokens = own.batch.attention_mask.bool()
        # moved first: not every device has float64
        heads, out, was, now = (part.cpu().double() for part in (z, y, other.hidden[tokens], own.hidden[tokens]))
        both = torch.cat((heads, was + out - now), dim=1)
        weighed, weight = both, float(len(both))
        if step.weighted:
            share = position_weights(was + out)
            weighed, weight = both * share[:, None], float(share.sum())
        n, sums, products = n + weight, sums + weighed.sum(0), products + heads.T @ weighed
        advance(1)
    mean = sums / n
    return mean, products - n * torch.outer(mean[: len(products)], mean), calls


def _solve(site: AttentionSite, mean: Tensor, centred: Tensor) -> None:
    """Fold the best factors into the output projection, and the remaining mean error into its bias."""
    weight = site.output.weight.detach().cpu().double()
    columns = weight.shape[1]
    if site.kept:
        # u_h = W_h z_h: the products of u follow from those of z, which are far smaller
        gram = site.split(site.split((weight.T @ weight) * centred[:, :columns]).sum(-1).T).sum(-1)  # [kept, kept]
        wanted = site.split((weight.T * centred[:, columns:]).sum(1)).sum(-1)  # [kept]
        ridge = RIDGE * gram.diagonal().mean() + torch.finfo(torch.float64).tiny
        change = torch.linalg.solve(gram + ridge * torch.eye(len(gram), dtype=torch.float64), wanted - gram.sum(1))
        weight = weight * (1 + change).repeat_interleave(site.head_dim)
        overwrite(site.output.weight, weight)
    overwrite(bias_of(site), mean[columns:] - weight @ mean[:columns])
