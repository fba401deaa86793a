"""Where each model family keeps its heads: one row per `model_type`; nobody else reshapes a projection."""

from dataclasses import dataclass
from operator import attrgetter

from torch import nn
from transformers import PreTrainedModel

from polyhead.errors import ArchitectureError
from polyhead.heads import HeadMask


@dataclass(frozen=True)
class Architecture:
    """One row: dotted paths, the first from the base model, the others from one layer.

    Attributes:
        layers: The list of layers.
        query, key, value: Projections whose output rows are blocks of heads.
        output: The projection whose input columns are the same blocks.
        attention: The module that computes attention (its class picks the kernel).
    """

    layers: str
    attention: str
    query: str
    key: str
    value: str
    output: str


_BERT_LIKE = Architecture(
    layers="encoder.layer",
    attention="attention.self",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    output="attention.output.dense",
)

ARCHITECTURES: dict[str, Architecture] = {
    "bert": _BERT_LIKE,
    "roberta": _BERT_LIKE,
    "xlm-roberta": _BERT_LIKE,
    "electra": _BERT_LIKE,
    "distilbert": Architecture(
        layers="transformer.layer",
        attention="attention",
        query="attention.q_lin",
        key="attention.k_lin",
        value="attention.v_lin",
        output="attention.out_lin",
    ),
}


@dataclass(frozen=True)
class AttentionSite:
    """The heads of one layer: live modules, and which heads of the unpruned numbering they still hold, in block order."""

    layer: int
    block: nn.Module
    attention: nn.Module
    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    output: nn.Linear
    head_dim: int
    kept: tuple[int, ...]


def architecture(model: PreTrainedModel) -> Architecture:
    """The row of the model's `model_type`.

    Raises:
        ArchitectureError: No row is known for it.
    """
    kind = model.config.model_type
    if kind not in ARCHITECTURES:
        raise ArchitectureError(f"model_type {kind!r} has no row in polyhead.architectures; known: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[kind]


def head_mask(model: PreTrainedModel) -> HeadMask:
    """Which heads the model still has, `[layers, heads]` in the unpruned numbering."""
    raise NotImplementedError


def attention_sites(model: PreTrainedModel) -> tuple[AttentionSite, ...]:
    """The attention of every layer, bottom up, without copying anything."""
    row = architecture(model)
    config = model.config
    head_dim = config.hidden_size // config.num_attention_heads
    layers = attrgetter(row.layers)(model.base_model)
    return tuple(
        AttentionSite(
            i, layer, *(attrgetter(path)(layer) for path in (row.attention, row.query, row.key, row.value, row.output)),
            head_dim=head_dim, kept=tuple(range(config.num_attention_heads)),
        )
        for i, layer in enumerate(layers)
    )
