"""Where each model family keeps its heads and neurons: one row per `model_type`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from polyhead.core.arguments import require
from polyhead.core.errors import ArchitectureError, SettingError

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PretrainedConfig


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The layout of one family, as plain facts. `layers` starts at the base model, other paths at a layer, unless said.

    Attributes:
        model_type: As in the family's configs.
        layers: The list of layers; `*` stands for every element of a list, as in `groups.*.layers`.
        attention: The module that computes attention; empty if the layers are attention modules themselves.
        query, key, value: Projections whose output rows are blocks of heads. The same path three times means one fused
            projection with rows `[3, heads, head_dim]`.
        output: The projection whose input columns are the same blocks.
        head_count: Attribute of `attention` for the number of heads; empty if it is not stored.
        width: Attribute of `attention` for heads × head_dim; empty if it is not stored.
        head_dim: Attribute of the config for the width of a head; empty if it is the hidden size divided by the heads.
        fused_by_head: Whether the rows of the fused projection are `[heads, 3, head_dim]`.
        key_heads: Attribute of the config for the number of keys and values, where several heads share one; empty if none do.
        key_count: Attribute of `attention` for the number of keys and values; empty if it is not stored.
        group_size: Attribute of `attention` for the heads that share a key; empty if it is not stored.
        also: Others with one block per head, where a model has them: linear layers (rows), parameters (entries), and embeddings
            with one column per head.
        shared_bias: The embedding of position biases with one column per head that all layers share. Either in the lowest layer,
            from where its attention module passes the bias on, or, if the path starts with `/`, in the base model.
        bias_argument: Argument of `attention` for the position bias.
        owns_bias: Attribute of `attention` that is True where it computes the position bias itself.
        needs_a_head: Whether the forward pass of a release fails in a layer without heads, which then holds one block of zeros.
        layer_counts: Attributes of the config whose product is the number of layers that have weights of their own.
        mixes_heads: Attribute of the config that is true if heads are mixed before the output; such models are refused.
        feed_forward: Attribute of the config for the neurons of a feed-forward block; empty if there is none, then they are
            four times the hidden size.
        neuron_inputs: The linear layers into the neurons, of which a model has one, or two whose outputs are multiplied (gated
            units); paths that it lacks are left out. A path that starts with `/` starts at the base model, and `*` in it is the
            number of the layer.
        neuron_output: The linear layer out of the neurons, whose input columns they are; likewise. Empty if the neurons of the
            family cannot be gated or pruned.
        fused_neurons: Whether the only layer into the neurons has rows `[2, neurons]`, both halves of gated units.
        neuron_count: Attribute for the number of neurons, as a path from the layer; empty if it is not stored.
        classifier: Attribute of the token classifier for its last layer, a `torch.nn.Linear`.
        positions_after_padding: Whether positions start at `pad_token_id + 1`, as in RoBERTa.

    >>> isinstance(ARCHITECTURES["distilbert"], Architecture), ARCHITECTURES["distilbert"].query
    (True, 'attention.q_lin')
    """

    model_type: str
    layers: str
    attention: str
    query: str
    key: str
    value: str
    output: str
    head_count: str = ""
    width: str = ""
    head_dim: str = ""
    fused_by_head: bool = False
    key_heads: str = ""
    key_count: str = ""
    group_size: str = ""
    also: tuple[str, ...] = ()
    shared_bias: str = ""
    bias_argument: str = "position_bias"
    owns_bias: str = ""
    needs_a_head: bool = False
    layer_counts: tuple[str, ...] = ("num_hidden_layers",)
    mixes_heads: str = ""
    feed_forward: str = "intermediate_size"
    neuron_inputs: tuple[str, ...] = ()
    neuron_output: str = ""
    fused_neurons: bool = False
    neuron_count: str = ""
    classifier: str = "classifier"
    positions_after_padding: bool = False


_BERT = Architecture(
    model_type="bert",
    layers="encoder.layer",
    attention="attention.self",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    output="attention.output.dense",
    head_count="num_attention_heads",
    width="all_head_size",
    neuron_inputs=("intermediate.dense",),
    neuron_output="output.dense",
)
_ROBERTA = replace(_BERT, model_type="roberta", positions_after_padding=True)
_GTE = Architecture(
    model_type="gte",
    layers="layers",
    attention="self_attn",
    query="self_attn.q_proj",
    key="self_attn.k_proj",
    value="self_attn.v_proj",
    output="self_attn.o_proj",
    neuron_inputs=("mlp.gate_proj", "mlp.up_proj"),
    neuron_output="mlp.down_proj",
    neuron_count="mlp.intermediate_size",
)
_DISTILBERT = Architecture(
    model_type="distilbert",
    layers="transformer.layer",
    attention="attention",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    output="attention.out_lin",
    head_count="n_heads",
    width="dim",
    feed_forward="hidden_dim",
    neuron_inputs=("ffn.lin1",),
    neuron_output="ffn.lin2",
)
_XLM = Architecture(
    model_type="xlm",
    layers="attentions",
    attention="",
    query="q_lin",
    key="k_lin",
    value="v_lin",
    output="out_lin",
    head_count="n_heads",
    width="dim",
    needs_a_head=True,
    feed_forward="",
    neuron_inputs=("/ffns.*.lin1",),
    neuron_output="/ffns.*.lin2",
)
_T5 = Architecture(
    model_type="t5",
    layers="encoder.block",
    attention="layer.0.SelfAttention",
    query="layer.0.SelfAttention.q",
    key="layer.0.SelfAttention.k",
    value="layer.0.SelfAttention.v",
    output="layer.0.SelfAttention.o",
    head_count="n_heads",
    width="inner_dim",
    head_dim="d_kv",
    shared_bias="layer.0.SelfAttention.relative_attention_bias",
    owns_bias="has_relative_attention_bias",
    feed_forward="d_ff",
    neuron_inputs=tuple(f"layer.1.DenseReluDense.{name}" for name in ("wi", "wi_0", "wi_1")),
    neuron_output="layer.1.DenseReluDense.wo",
)

ARCHITECTURES: dict[str, Architecture] = {
    row.model_type: row
    for row in (
        _BERT,
        _ROBERTA,
        replace(_ROBERTA, model_type="xlm-roberta"),
        replace(_ROBERTA, model_type="xlm-roberta-xl"),
        replace(_ROBERTA, model_type="camembert"),
        replace(_BERT, model_type="electra"),
        replace(_BERT, model_type="rembert", needs_a_head=True),
        _DISTILBERT,
        Architecture(
            model_type="mpnet",
            layers="encoder.layer",
            attention="attention.attn",
            query="attention.attn.q",
            key="attention.attn.k",
            value="attention.attn.v",
            output="attention.attn.o",
            head_count="num_attention_heads",
            width="all_head_size",
            shared_bias="/encoder.relative_attention_bias",
            needs_a_head=True,
            neuron_inputs=_BERT.neuron_inputs,
            neuron_output=_BERT.neuron_output,
            positions_after_padding=True,
        ),
        Architecture(
            model_type="albert",
            layers="encoder.albert_layer_groups.*.albert_layers",
            attention="attention",
            query="attention.query",
            key="attention.key",
            value="attention.value",
            output="attention.dense",
            head_count="num_attention_heads",
            width="all_head_size",
            layer_counts=("num_hidden_groups", "inner_group_num"),
            neuron_inputs=("ffn",),
            neuron_output="ffn_output",
        ),
        replace(
            _BERT,
            model_type="deberta",
            query="attention.self.in_proj",
            key="attention.self.in_proj",
            value="attention.self.in_proj",
            fused_by_head=True,
            also=tuple(f"attention.self.{name}" for name in ("q_bias", "v_bias", "pos_proj", "pos_q_proj")),
            needs_a_head=True,
            mixes_heads="talking_head",
        ),
        replace(
            _BERT,
            model_type="deberta-v2",
            query="attention.self.query_proj",
            key="attention.self.key_proj",
            value="attention.self.value_proj",
            also=("attention.self.pos_key_proj", "attention.self.pos_query_proj"),
            needs_a_head=True,
        ),
        Architecture(
            model_type="modernbert",
            layers="layers",
            attention="attn",
            query="attn.Wqkv",
            key="attn.Wqkv",
            value="attn.Wqkv",
            output="attn.Wo",
            neuron_inputs=("mlp.Wi",),
            neuron_output="mlp.Wo",
            fused_neurons=True,
        ),
        _GTE,
        replace(_GTE, model_type="jina_embeddings_v3", neuron_inputs=("mlp.fc1",), neuron_output="mlp.fc2", neuron_count=""),
        replace(_GTE, model_type="nomic_bert"),
        replace(_GTE, model_type="eurobert", key_heads="num_key_value_heads", group_size="num_key_value_groups"),
        _XLM,
        replace(_XLM, model_type="flaubert"),
        _T5,
        replace(_T5, model_type="mt5"),
        replace(_T5, model_type="umt5", also=(_T5.shared_bias,), shared_bias="", owns_bias="", needs_a_head=True),
    )
}

# rows that `find_sites` proved in this process, or that a checkpoint's record holds
PROVEN: dict[str, Architecture] = {}
_TRIAL: ContextVar[Architecture | None] = ContextVar("trial", default=None)


def register_architecture(row: Architecture) -> None:
    """Add a family to `ARCHITECTURES` for this process, so that gates, pruning, scoring, saving and loading support it.

    Registering the same row again changes nothing. The paths are checked at the first use of a model of the family.

    Raises:
        SettingError: A field is not a dotted name, query, key and value are neither three projections nor one, or `model_type`
            already has another row.

    >>> register_architecture(ARCHITECTURES["bert"])
    """
    require(row=(row, Architecture))
    check_row(row)
    if ARCHITECTURES.setdefault(row.model_type, row) != row:
        raise SettingError(f"model_type {row.model_type!r} already has another row: {ARCHITECTURES[row.model_type]}")


def check_row(row: Architecture) -> None:
    """Refuse a row whose fields cannot be names of modules and attributes.

    Raises:
        SettingError: As for `register_architecture`.
    """
    for field in fields(row):
        value = getattr(row, field.name)
        if isinstance(field.default, bool):
            if not isinstance(value, bool):
                raise SettingError(f"{field.name} is {value!r}; expected True or False")
        elif isinstance(field.default, tuple):
            if not isinstance(value, tuple) or not all(isinstance(part, str) and _is_path(part) for part in value):
                raise SettingError(f"{field.name} is {value!r}; expected a tuple of attribute names joined by dots")
        elif not isinstance(value, str) or (not value and field.name in _NEEDED):
            raise SettingError(f"{field.name} is {value!r}; expected a {'non-empty ' * (field.name in _NEEDED)}string")
        elif value and field.name != "model_type" and not _is_path(value):
            raise SettingError(f"{field.name} is {value!r}; expected attribute names joined by dots, such as {_BERT.query}")
    if len({row.query, row.key, row.value}) == 2:
        raise SettingError("query, key and value name two modules; expected three projections, or one fused projection")


_NEEDED = ("model_type", "layers", "query", "key", "value", "output", "classifier")


def _is_path(value: str) -> bool:
    return all(part.isidentifier() or part.isdecimal() or part == "*" for part in value.removeprefix("/").split("."))


def architecture(config: PretrainedConfig) -> Architecture:
    """The row of a config's `model_type`.

    Raises:
        ArchitectureError: The family has no row.
    """
    kind = getattr(config, "model_type", None)
    row = _TRIAL.get()
    if row is None or row.model_type != kind:
        row = ARCHITECTURES.get(str(kind)) or PROVEN.get(str(kind))
    if row is None:
        supported = f"{', '.join(ARCHITECTURES)} (see polyhead.find_sites and polyhead.register_architecture)"
        raise ArchitectureError(f"model_type {kind!r}: not supported; supported are {supported}")
    return row


@contextmanager
def trying(row: Architecture) -> Iterator[None]:
    """A context in which a row that is not proven yet is that of its `model_type`, in this thread."""
    token = _TRIAL.set(row)
    try:
        yield
    finally:
        _TRIAL.reset(token)
