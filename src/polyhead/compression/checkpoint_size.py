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
    weights: dict[int, int] = {own.data_ptr(): own.nbytes for own in model.state_dict().values()}
    with TemporaryDirectory() as name, quiet():
        save_tokenizer(tokenizer, Path(name))
        return sum(weights.values()) + sum(path.stat().st_size for path in Path(name).iterdir() if path.is_file())


def size_costs(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, plan: Plan) -> PlanCosts:
    """Bytes of the checkpoint by its heads and neurons.

    Args:
        model: As it is.
        tokenizer: Its own.
        plan: What the model keeps now.
    """
    head = attention_sites(model)[0]
    neurons = next((site for site in neuron_sites(model) if site.kept), None)
    return linear_costs(
        "bytes",
        checkpoint_bytes(model, tokenizer),
        plan.counts,
        per_head=head.weights_per_head * head.output.weight.element_size(),
        per_neuron=0.0 if neurons is None else neurons.weights_per_neuron * neurons.output.weight.element_size(),
        shape=(plan.heads.n_heads, plan.neurons.n_neurons),
    )
