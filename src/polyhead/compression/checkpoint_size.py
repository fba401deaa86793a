"""Bytes of a saved checkpoint, weights and tokenizer, before it is written."""

from pathlib import Path
from tempfile import TemporaryDirectory

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from polyhead.compression.plan_costs import PlanCosts, linear_costs
from polyhead.core.neurons import Plan
from polyhead.models.model_heads import attention_sites
from polyhead.models.model_neurons import neuron_sites
from polyhead.models.saving import save_tokenizer
from polyhead.models.sources import quiet


def checkpoint_bytes(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """Bytes of the weights, tied ones counted once, and of the tokenizer's files.

    The config, the model card and the header of the weights come to a few more kilobytes.
    """
    with TemporaryDirectory() as name, quiet():
        save_tokenizer(tokenizer, Path(name))
        return weight_bytes(model) + sum(path.stat().st_size for path in Path(name).iterdir() if path.is_file())


def weight_bytes(model: PreTrainedModel) -> int:
    """Bytes of the weights, tied ones counted once."""
    weights: dict[int, int] = {own.data_ptr(): own.nbytes for own in model.state_dict().values()}
    return sum(weights.values())


def size_costs(model: PreTrainedModel, plan: Plan, *, total: int) -> PlanCosts:
    """Bytes of the checkpoint by its heads and neurons, never fewer than a pruned one has.

    A head counts as in the layer where it has fewest weights; some families keep one in a layer without heads.

    Args:
        model: As it is.
        plan: What the model keeps now.
        total: Its `checkpoint_bytes`.
    """
    sites = [site for site in attention_sites(model) if site.kept]
    element = model.get_input_embeddings().weight.element_size()
    head = min((site.weights_of(site.kept) / len(site.kept) for site in sites), default=0.0)
    neurons = next((site for site in neuron_sites(model) if site.kept), None)
    found = linear_costs(
        "bytes",
        total,
        plan.counts,
        per_head=head * element,
        per_neuron=0.0 if neurons is None else neurons.weights_per_neuron * element,
        shape=(plan.heads.n_heads, plan.neurons.n_neurons),
    )
    if sites and sites[0].needs_a_head:
        found.heads[0] = found.heads[1]  # a block of zeros
    return found
