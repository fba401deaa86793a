"""Least-squares rescaling of the remaining heads on unlabelled text, to compensate for pruned heads."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyhead.core.errors import ArchitectureError, SettingError
from polyhead.core.progress import Progress, tracking
from polyhead.learning.batching import Batch
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.models.devices import Precision, attention_kernel, placement
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites, full_mask, head_mask
from polyhead.models.model_neurons import neuron_mask, pruned_neurons
from polyhead.models.pruning import check_mask
from polyhead.models.sites import AttentionSite

Model = TypeVar("Model", bound="PreTrainedModel")

# Share of the mean diagonal entry; float32 noise in a direction that two heads share is about a tenth of this.
RIDGE = 1e-6
_NO_REFIT = "so it cannot be refitted; repair by means, or prune without repair"


def refit(
    pruned: Model,
    full: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> Model:
    """`pruned`, changed in place: one factor per head and a new bias per layer bring its hidden states close to those of `full`.

    Goes from the lowest layer with a pruned head, or above one with a pruned neuron, upwards. Let x' be the layer's input and u_h
    the output of its head h in the pruned model, whose lower layers are already refitted; x and y are the layer's input and
    attention output in the full model at the same positions. The factors g and the bias b minimise Σ |x + y − x' − b − Σ_h g_h
    u_h|² over all positions except padding, special tokens included, and are folded into the output projection. Because x and x'
    enter, a layer also corrects what lower layers could not. A ridge of 1e-6 of the mean squared norm pulls g to 1, so a dead
    head stays unchanged and two equal heads get equal factors. A layer without heads only gets the bias. The factors have no
    bounds.

    Costs at most two forward passes of each model, and memory for two hidden states of the whole text. Needs no labels. The full
    model, modes, `requires_grad` and hooks are not changed; an interruption leaves the lower layers refitted.

    Args:
        pruned: A copy of `full` with some heads and neurons pruned and nothing else changed, on the same device.
        full: The reference model.
        batches: From `scoring_batches`, in any order.
        precision: Of matrix products; sums are float64.
        progress: Updated after every batch in every layer.

    Raises:
        SettingError: There is no batch, or `pruned` has another size, or a head or neuron that `full` lacks.
        ArchitectureError: The family has no row in `ARCHITECTURES`, an output projection has no bias, or layers share weights
            or do not run one after the other.

    Source: Kwon et al. 2022, "A fast post-training pruning framework for transformers" (mask tuning).
    """
    pairs = _changed_layers(pruned, full)
    if not len(batches):
        raise SettingError("no sentences to refit on: give at least one batch")
    for site, _ in pairs:
        bias_of(site)
        if site.uses > 1:
            raise ArchitectureError(f"layer {site.layer}: its weights serve {site.uses} layers, {_NO_REFIT}")
    device, chosen = placement(full, precision=precision)
    with tracking(progress, len(pairs) * len(batches), "refit heads") as advance, _running(full, chosen):
        ours = theirs = [_reach(full, whole.layer, batch.to(device), chosen) for _, whole in pairs[:1] for batch in batches]
        for site, whole in pairs:
            with _running(pruned, chosen):
                mean, centred, theirs = _measure(site, whole, ours, theirs, chosen, advance)
            _solve(site, mean, centred)
            if site is not pairs[-1][0]:
                with _running(pruned, chosen):
                    ours = [_through(site, call, chosen)[2] for call in ours]
    return pruned


@dataclass(frozen=True)
class _Call:
    """A layer's hidden state for one batch, and the other arguments of every layer of the model."""

    batch: Batch
    hidden: Tensor
    given: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]


def _changed_layers(pruned: PreTrainedModel, full: PreTrainedModel) -> list[tuple[AttentionSite, AttentionSite]]:
    before, after = head_mask(full), head_mask(pruned)
    check_mask(after, before)
    if (after.keep & ~before.keep).any():
        raise SettingError("the pruned model has heads that the full one lacks: give the model that it was pruned from")
    changed = np.flatnonzero((before.keep != after.keep).any(axis=1))
    first = min([*changed[:1].tolist(), _after_neurons(pruned, full), before.n_layers])
    return list(zip(attention_sites(pruned), attention_sites(full), strict=True))[first:]


def _after_neurons(pruned: PreTrainedModel, full: PreTrainedModel) -> int:
    """The first layer above one with fewer neurons; the number of layers if there is none."""
    left = pruned_neurons(pruned)
    if left is None:
        return head_mask(full).n_layers
    before = neuron_mask(full)
    if (left.keep & ~before.keep).any():
        raise SettingError("the pruned model has neurons that the full one lacks: give the model that it was pruned from")
    changed = np.flatnonzero((left.keep != before.keep).any(axis=1))
    return int(changed[0]) + 1 if changed.size else left.n_layers


@contextmanager
def _running(model: PreTrainedModel, precision: Precision) -> Iterator[None]:
    # gates of one change nothing, but make compiled code run eagerly, with hooks
    with scoring_mode(model, precision), torch.no_grad(), gated(model, full_mask(model)):
        yield


def _reach(model: PreTrainedModel, layer: int, batch: Batch, precision: Precision) -> _Call:
    """The model's call of a layer in a forward pass over the batch."""
    hidden: list[Tensor] = []
    given: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    passed: list[Tensor] = []

    def take(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        if passed and not torch.equal(passed.pop(), args[0]):
            raise ArchitectureError(f"layer {len(given)}: its input is not the output of the layer below, {_NO_REFIT}")
        hidden.append(args[0])
        given.append((args[1:], named))

    def pass_on(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        passed.append(_hidden(output))

    kernel = attention_kernel(batch.input_ids.device, batch.input_ids.shape[1], precision, work="predict")
    with ExitStack() as stack:
        for site in attention_sites(model):
            stack.callback(site.block.register_forward_pre_hook(take, with_kwargs=True).remove)
            stack.callback(site.block.register_forward_hook(pass_on).remove)
        stack.enter_context(kernel)
        model(**batch.short_inputs)
    return _Call(batch, hidden[layer], tuple(given))


def _through(site: AttentionSite, call: _Call, precision: Precision) -> tuple[Tensor, Tensor, _Call]:
    """Run one layer: input and output of its output projection at the batch's tokens, and the next layer's call."""
    found: list[Tensor] = []
    tokens = call.batch.attention_mask.bool()

    def take(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        found.extend((args[0][tokens], output[tokens]))

    kernel = attention_kernel(tokens.device, tokens.shape[1], precision, work="predict")
    with site.output.register_forward_hook(take), kernel:
        rest, named = call.given[site.layer]
        hidden = _hidden(site.block(call.hidden, *rest, **named))
    return found[0], found[1], replace(call, hidden=hidden)


def _hidden(output: Any) -> Tensor:
    """The hidden state in a layer's output, which may hold attention weights and biases as well."""
    found: Tensor = output[0] if isinstance(output, tuple) else output
    return found


def _measure(
    site: AttentionSite,
    whole: AttentionSite,
    ours: Sequence[_Call],
    theirs: Sequence[_Call],
    precision: Precision,
    advance: Callable[[int], None],
) -> tuple[Tensor, Tensor, list[_Call]]:
    """Moments of a layer's heads z in the pruned model and their target y, and the full model's calls of the next layer.

    The mean of z and y, `[columns + width]`, and the sums of products of z with both about their means,
    `[columns, columns + width]`; float64 on the CPU.
    """
    n, sums, products = 0, torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    calls = []
    for own, other in zip(ours, theirs, strict=True):
        z, _, _ = _through(site, own, precision)
        _, y, call = _through(whole, other, precision)
        calls.append(call)
        tokens = own.batch.attention_mask.bool()
        # moved first: not every device has float64
        heads, out, was, now = (part.cpu().double() for part in (z, y, other.hidden[tokens], own.hidden[tokens]))
        both = torch.cat((heads, was + out - now), dim=1)
        n, sums, products = n + len(both), sums + both.sum(0), products + heads.T @ both
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


def bias_of(site: AttentionSite) -> Tensor:
    """The bias of a layer's output projection.

    Raises:
        ArchitectureError: It has none.
    """
    if site.output.bias is None:
        raise ArchitectureError(f"layer {site.layer}: the output projection has no bias to repair; prune without repair")
    return site.output.bias


def overwrite(parameter: Tensor, values: Tensor) -> None:
    """Set a parameter to new values, which may be float64 on the CPU."""
    with torch.no_grad():
        parameter.copy_(values.to(parameter.dtype))  # rounded first: not every device has float64
