"""Mean head outputs: they replace heads under mean ablation and repair."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.progress import Progress, Silent
from polyhead.learning.batching import Batch
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.models.architectures import AttentionSite, attention_sites, full_mask
from polyhead.models.devices import Precision, attention_kernel, pick_precision
from polyhead.models.gates import gated


def head_means(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
) -> Tensor:
    """Mean output of each head before the output projection, `[layers, heads, head_dim]`, on the model's device.

    The mean is over all positions except padding, special tokens included, so long sentences weigh more; positions where windows
    overlap count twice. float32, or float64 for a float64 model; zeros for pruned heads. Needs no labels and one forward pass,
    and does not change the model.

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
    sites = attention_sites(model)
    watch = progress or Silent()
    device = next(model.parameters()).device
    chosen = pick_precision(precision, device)
    shape = (*full_mask(model).keep.shape, sites[0].head_dim)
    sums = torch.zeros(shape, dtype=torch.float64)
    positions = 0
    watch.start(len(batches), "head means")
    try:
        with scoring_mode(model, chosen), torch.no_grad():
            for batch in batches:
                here = batch.to(device)
                for layer, found in _batch_sums(model, sites, here, chosen).items():
                    sums[layer, list(sites[layer].kept)] += found.cpu().double()  # moved first: MPS has no float64
                positions += batch.n_tokens
                watch.advance(1)
    finally:
        watch.stop()
    return (sums / positions).to(torch.promote_types(model.dtype, torch.float32)).to(device)


def _batch_sums(model: PreTrainedModel, sites: Sequence[AttentionSite], batch: Batch, precision: Precision) -> dict[int, Tensor]:
    """Sums `[kept heads, head_dim]` over the batch's tokens, by layer."""
    found: dict[int, Tensor] = {}
    padding = batch.attention_mask if batch.has_padding else None
    with (
        _watched(model, sites, batch, found),
        attention_kernel(batch.input_ids.device, batch.input_ids.shape[1], precision, work="predict"),
    ):
        model(input_ids=batch.input_ids, attention_mask=padding)
    return found


@contextmanager
def _watched(model: PreTrainedModel, sites: Sequence[AttentionSite], batch: Batch, found: dict[int, Tensor]) -> Iterator[None]:
    # gates of one change nothing, but make compiled code run eagerly, with hooks
    with gated(model, full_mask(model)), ExitStack() as stack:
        for site in sites:
            if site.kept:
                stack.callback(site.output.register_forward_pre_hook(_summing(site, batch.attention_mask, found)).remove)
        yield


def _summing(
    site: AttentionSite, attention_mask: Tensor, found: dict[int, Tensor]
) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        z = args[0]
        wide = z.to(torch.promote_types(z.dtype, torch.float32))
        total = torch.where(attention_mask[..., None].bool(), wide, 0).sum(dim=(0, 1))
        found[site.layer] = total.view(len(site.kept), site.head_dim)

    return hook
