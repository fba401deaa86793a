"""Proof that a row says where a model's heads are: a small random copy in float64 must behave as the row claims."""

from __future__ import annotations

import copy
from contextlib import ExitStack
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from polyhead.core.errors import PolyheadError, one_line
from polyhead.models.architectures import Architecture, trying
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites, full_mask
from polyhead.models.proof_checks import CHECKS, LENGTH, check_same, logits_of, owned, uneven
from polyhead.models.pruning import fitted, prune
from polyhead.models.small_copies import NotProven, random_inputs

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PreTrainedModel

CLOSE = 1e-4  # of the largest logit, in float32


def prove(small: PreTrainedModel, row: Architecture) -> None:
    """Check a row on a small random copy, in float64.

    Pruned and masked logits agree to 1e-10, also in layers without heads and once the weights are back at full shape; every head
    matters; gates have the gradient that finite differences show; another order of heads changes nothing; queries, keys and
    values are what the row calls them; every weight of a head is used; a layer's output is all that it passes on. Costs about a
    hundred forward passes.

    Raises:
        NotProven: Names the first check that failed.
    """
    with trying(row):
        try:
            sites = attention_sites(small)
        except (PolyheadError, AttributeError, TypeError, ValueError) as error:
            raise NotProven(one_line(error)) from None
        owned(small, row, sites)
        short = random_inputs(small, LENGTH)
        for check in CHECKS:
            try:
                check(small, sites, short)
            except NotProven:
                raise
            except Exception as error:  # whatever a family's forward pass raises
                raise NotProven(f"{check.__name__.strip('_')}: the forward pass fails ({one_line(error)})") from None


def prove_loaded(model: PreTrainedModel, row: Architecture) -> None:
    """Check that masked and pruned logits of the loaded model agree to 1e-4 in its own precision; needs a copy of it in memory.

    Raises:
        NotProven: They do not.
    """
    inputs = {name: value.to(next(model.parameters()).device) for name, value in random_inputs(model, LENGTH).items()}
    with trying(row):
        mask = fitted(model, uneven(full_mask(model)))
        mode = model.training
        model.eval()
        try:
            with gated(model, mask):
                masked = logits_of(model, inputs)
            shared = model.get_input_embeddings().weight
            cut = logits_of(prune(copy.deepcopy(model, {id(shared): shared}).eval(), mask), inputs)
        finally:
            model.train(mode)
    check_same(cut, masked, "the loaded model's pruned logits", CLOSE if cut.dtype in (torch.float32, torch.float64) else 0.1)


def starts_after_padding(small: PreTrainedModel) -> bool:
    """Whether positions start at `pad_token_id + 1`: what the position embedding of a small copy is asked for in a pass."""
    limit, padding = getattr(small.config, "max_position_embeddings", None), small.config.pad_token_id
    lowest: list[int] = []

    def note(module: nn.Module, args: tuple[object, ...]) -> None:
        lowest.extend(int(positions.min()) for positions in args[:1] if isinstance(positions, Tensor))

    with ExitStack() as stack:
        for module in small.base_model.modules():
            is_table = isinstance(module, nn.Embedding) and module is not small.get_input_embeddings()
            if is_table and module.num_embeddings == limit:
                stack.callback(module.register_forward_pre_hook(note).remove)
        first = {name: value[:1] for name, value in random_inputs(small, LENGTH).items()}  # a row without padding
        logits_of(small, first)
    return isinstance(padding, int) and bool(lowest) and min(lowest) == padding + 1
