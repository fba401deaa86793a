"""Mean head outputs: they replace heads under mean ablation and repair."""

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
from polyhead.models.sites import AttentionSite


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
    if not len(batches):
        raise SettingError("no sentences to average over: give at least one batch")
    sites, full = attention_sites(model), full_mask(model)
    device, chosen = placement(model, precision=precision)
    sums = torch.zeros(*full.shape, sites[0].head_dim, dtype=torch.float64)
    is_token: Tensor  # [rows, length], of the current batch

    def add(site: AttentionSite, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        wide = args[0].to(torch.promote_types(args[0].dtype, torch.float32))
        total = torch.where(is_token[..., None], wide, 0).sum(dim=(0, 1)).view(len(site.kept), site.head_dim)
        sums[site.layer, list(site.kept)] += total.cpu().double()  # moved first: MPS has no float64

    steps = tracking(progress, len(batches), "head means")
    with steps as advance, scoring_mode(model, chosen), torch.no_grad(), ExitStack() as stack:
        # gates of one change nothing, but make compiled code run eagerly, with hooks
        stack.enter_context(gated(model, full))
        for site in sites:
            if site.kept:
                stack.callback(site.output.register_forward_pre_hook(partial(add, site)).remove)
        for batch in batches:
            here = batch.to(device)
            is_token = here.attention_mask.bool()
            with attention_kernel(device, here.input_ids.shape[1], chosen, work="predict"):
                model(**here.short_inputs)
            advance(1)
    positions = sum(batch.n_tokens for batch in batches)
    return (sums / (positions * sites[0].uses)).to(torch.promote_types(model.dtype, torch.float32)).to(device)
