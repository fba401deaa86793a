"""Which neurons a model has, and the live modules of each layer's feed-forward block, as its family's row says."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from torch import nn

from polyhead.core.arguments import require
from polyhead.core.errors import ArchitectureError
from polyhead.core.neurons import NeuronMask
from polyhead.models import pruning_record
from polyhead.models.architectures import ARCHITECTURES, architecture
from polyhead.models.model_heads import full_mask_of, layers_of, plain_modules, recorded_heads, row_of
from polyhead.models.neuron_sites import NeuronSite, check_neuron_site, neuron_module

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PretrainedConfig, PreTrainedModel


def has_neurons(config: PretrainedConfig) -> bool:
    """Whether the family's row says where its neurons are, so that they can be gated and pruned.

    Raises:
        ArchitectureError: The family has no row.
    """
    return bool(architecture(config).neuron_output)


def full_neurons(model: PreTrainedModel) -> NeuronMask:
    """Every neuron of the unpruned model, `[layers, neurons]`.

    Raises:
        ArchitectureError: The model is a wrapper, its family has no row, or the row does not say where the neurons are.
    """
    row_of(model)
    return full_neurons_of(model.config)


def full_neurons_of(config: PretrainedConfig) -> NeuronMask:
    """Every neuron of the unpruned model that a config describes, `[layers, neurons]`; layers that share weights are one layer.

    Raises:
        ArchitectureError: The family has no row, or it does not say where the neurons are.
    """
    row = architecture(config)
    if not row.neuron_output:
        kinds = ", ".join(name for name, own in ARCHITECTURES.items() if own.neuron_output)
        wrong = f"model_type {row.model_type!r}: no neurons can be gated or pruned, because its row does not say where they are"
        raise ArchitectureError(f"{wrong}; it does for {kinds}")
    width = getattr(config, row.feed_forward) if row.feed_forward else 4 * config.hidden_size
    return NeuronMask.full(full_mask_of(config).n_layers, int(width))


def recorded_neurons(config: PretrainedConfig) -> NeuronMask:
    """The neurons of a model with this config, `[layers, neurons]`; no weights are read.

    Raises:
        ArchitectureError: As `full_neurons_of`; or the model is quantized.
        CheckpointError: The record is corrupt, or for a model of another size.
    """
    full = full_neurons_of(config)
    recorded_heads(config)
    record = getattr(config, pruning_record.KEY, None)
    return full if record is None else pruning_record.read_neurons(record, full, folder=config.name_or_path)


def pruned_neurons(model: PreTrainedModel) -> NeuronMask | None:
    """The neurons the model still has, checked against the weights; None if it still has all of them, which is not checked.

    Raises:
        ArchitectureError, CheckpointError: As `neuron_mask`.
    """
    record = getattr(model.config, pruning_record.KEY, None)
    if record is None or not pruning_record.is_ours(record) or pruning_record.NEURONS not in record:
        return None
    return neuron_mask(model)


def neuron_mask(model: PreTrainedModel) -> NeuronMask:
    """The neurons the model still has, `[layers, neurons]` in the unpruned numbering.

    A neuron is one entry of the inner layer of a feed-forward block, activated between its linear layers; in a gated unit, one
    product.

    Raises:
        ArchitectureError: The family has no row, the row does not say where the neurons are, or the shapes of the weights
            contradict the config's record.
        CheckpointError: The record of pruned heads and neurons is corrupt.

    >>> import polyhead as ph
    >>> model = ph.Tagger.load("polyhead/tiny", task="pos", seed=42).model
    >>> neuron_mask(model).counts
    (512, 512, 512, 512)
    """
    require(model=(model, nn.Module))
    row_of(model)
    mask = recorded_neurons(model.config)
    neuron_sites(model, mask=mask)
    return mask


def neuron_sites(model: PreTrainedModel, *, mask: NeuronMask | None = None) -> tuple[NeuronSite, ...]:
    """The feed-forward block of every layer, bottom up; live modules, not copies.

    Args:
        model: With any task head or none; may be compiled.
        mask: The neurons that the weights hold; default: those that the config records.

    Raises:
        ArchitectureError: The row does not say where the neurons are, or the weights have an unexpected shape.
        CheckpointError: The record is corrupt.
    """
    row, config, base = row_of(model), model.config, model.base_model
    mask = recorded_neurons(config) if mask is None else mask
    sites = []
    with plain_modules(model):
        for i, layer in enumerate(layers_of(model, mask.n_layers)):
            inputs = []
            for path in row.neuron_inputs:
                with suppress(AttributeError):  # a family may have gated units or plain ones
                    inputs.append(neuron_module(base, layer, path, i))
            site = NeuronSite(
                i,
                tuple(inputs),
                neuron_module(base, layer, row.neuron_output, i),
                kept=tuple(mask.keep[i].nonzero()[0].tolist()),
                uses=config.num_hidden_layers // mask.n_layers,
                fused=row.fused_neurons,
            )
            check_neuron_site(site)
            sites.append(site)
    return tuple(sites)
