"""Running the layers of a model one by one over a text, with what their linear layers read and write."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyhead.core.errors import ArchitectureError
from polyhead.learning.batching import Batch
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.models.devices import Precision, attention_kernel
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites, full_mask
from polyhead.models.neuron_sites import NeuronSite
from polyhead.models.sites import AttentionSite

NO_REFIT = "so it cannot be refitted; repair by means, or prune without repair"


@dataclass(frozen=True)
class Call:
    """A layer's hidden state for one batch, and the other arguments of every layer of the model."""

    batch: Batch
    hidden: Tensor
    given: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...]


@contextmanager
def running(model: PreTrainedModel, precision: Precision) -> Iterator[None]:
    """A context in which the model's layers can be run: eval mode, no gradient, and hooks in compiled code."""
    # gates of one change nothing, but make compiled code run eagerly
    with scoring_mode(model, precision), torch.no_grad(), gated(model, full_mask(model)):
        yield


def reach(model: PreTrainedModel, layer: int, batch: Batch, precision: Precision) -> Call:
    """The model's call of a layer in a forward pass over the batch."""
    hidden: list[Tensor] = []
    given: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    passed: list[Tensor] = []

    def take(module: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        if passed and not torch.equal(passed.pop(), args[0]):
            raise ArchitectureError(f"layer {len(given)}: its input is not the output of the layer below, {NO_REFIT}")
        hidden.append(args[0])
        given.append((args[1:], named))

    def pass_on(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        passed.append(hidden_of(output))

    kernel = attention_kernel(batch.input_ids.device, batch.input_ids.shape[1], precision, work="predict")
    with ExitStack() as stack:
        for site in attention_sites(model):
            stack.callback(site.block.register_forward_pre_hook(take, with_kwargs=True).remove)
            stack.callback(site.block.register_forward_hook(pass_on).remove)
        stack.enter_context(kernel)
        model(**batch.short_inputs)
    return Call(batch, hidden[layer], tuple(given))


def through(site: AttentionSite, call: Call, precision: Precision) -> tuple[Tensor, Tensor, Call]:
    """Run one layer: input and output of its output projection at the batch's tokens, and the next layer's call."""
    found: list[Tensor] = []
    tokens = call.batch.attention_mask.bool()

    def take(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        found.extend((args[0][tokens], output[tokens]))

    kernel = attention_kernel(tokens.device, tokens.shape[1], precision, work="predict")
    with site.output.register_forward_hook(take), kernel:
        rest, named = call.given[site.layer]
        hidden = hidden_of(site.block(call.hidden, *rest, **named))
    return found[0], found[1], replace(call, hidden=hidden)


def hidden_of(output: Any) -> Tensor:
    """The hidden state in a layer's output, which may hold attention weights and biases as well."""
    found: Tensor = output[0] if isinstance(output, tuple) else output
    return found


def bias_of(site: AttentionSite | NeuronSite) -> Tensor:
    """The bias of the output of a layer's attention or of its feed-forward block.

    Raises:
        ArchitectureError: It has none.
    """
    if site.output.bias is None:
        what = "output projection" if isinstance(site, AttentionSite) else "feed-forward output"
        raise ArchitectureError(f"layer {site.layer}: the {what} has no bias to repair; prune without repair")
    return site.output.bias


def overwrite(parameter: Tensor, values: Tensor) -> None:
    """Set a parameter to new values, which may be float64 on the CPU."""
    with torch.no_grad():
        parameter.copy_(values.to(parameter.dtype))  # rounded first: not every device has float64
