"""Mean head outputs, which replace heads under mean ablation and repair, and mean inputs of any linear layers."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.progress import Progress, tracking
from polyhead.learning.batching import Batch
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.models.devices import PrecisionChoice, attention_kernel, placement
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites, full_mask


def head_means(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    precision: PrecisionChoice = "auto",
    progress: Progress | None = None,
) -> Tensor:
    """Mean output of each head before the output projection, `[layers, heads, head_dim]`, on the model's device.

    The mean is over all positions except padding, special tokens included, so long sentences weigh more; positions where windows
    overlap count twice, and so does a position in a layer that is used twice. float32, or float64 for a float64 model; zeros for
    pruned heads. Needs no labels and one forward pass, and does not change the model.

    Args:
        model: Any family of `ARCHITECTURES`, pruned or not.
        batches: From `scoring_batches`, in any order.
        precision: Of matrix products; sums are float32 within a batch and float64 across batches.
        progress: Updated after every batch.

    Raises:
        SettingError: There is no batch.
    """
    sites, full = attention_sites(model), full_mask(model)
    found = mean_inputs(
        model,
        [site.output for site in sites if site.kept],
        batches,
        uses=sites[0].uses,
        precision=precision,
        what="head means",
        progress=progress,
    )
    means = torch.zeros(*full.shape, sites[0].head_dim, dtype=torch.float64)
    for site, own in zip([site for site in sites if site.kept], found, strict=True):
        means[site.layer, list(site.kept)] = own.view(len(site.kept), site.head_dim)
    return means.to(torch.promote_types(model.dtype, torch.float32)).to(placement(model)[0])


def mean_inputs(
    model: PreTrainedModel,
    layers: Sequence[nn.Module],
    batches: Sequence[Batch],
    *,
    uses: int = 1,
    precision: PrecisionChoice = "auto",
    what: str = "means",
    progress: Progress | None = None,
) -> list[Tensor]:
    """The mean input of each of some linear layers of a model, `[columns]`, float64 on the CPU; see `head_means`.

    Args:
        model: Not changed.
        layers: Modules of it, distinct.
        batches: From `scoring_batches`, in any order.
        uses: Times that a forward pass runs each of them.
        precision: Of matrix products; sums are float32 within a batch and float64 across batches.
        what: Name of the work, for `progress`.
        progress: Updated after every batch.

    Raises:
        SettingError: There is no batch.
    """
    if not len(batches):
        raise SettingError("no sentences to average over: give at least one batch")
    device, chosen = placement(model, precision=precision)
    sums = [torch.zeros((), dtype=torch.float64)] * len(layers)
    is_token: Tensor  # [rows, length], of the current batch

    def add(number: int, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        wide = args[0].to(torch.promote_types(args[0].dtype, torch.float32))
        total = torch.where(is_token[..., None], wide, 0).sum(dim=(0, 1))
        sums[number] = sums[number] + total.cpu().double()  # moved first: MPS has no float64

    steps = tracking(progress, len(batches), what)
    with steps as advance, scoring_mode(model, chosen), torch.no_grad(), ExitStack() as stack:
        # gates of one change nothing, but make compiled code run eagerly, with hooks
        stack.enter_context(gated(model, full_mask(model)))
        for number, layer in enumerate(layers):
            stack.callback(layer.register_forward_pre_hook(partial(add, number)).remove)
        for batch in batches:
            here = batch.to(device)
            is_token = here.attention_mask.bool()
            with attention_kernel(device, here.input_ids.shape[1], chosen, work="predict"):
                model(**here.short_inputs)
            advance(1)
    positions = sum(batch.n_tokens for batch in batches)
    return [own / (positions * uses) for own in sums]
