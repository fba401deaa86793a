"""Where each model family keeps its heads: one row per `model_type`; no other module reshapes a projection."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from polyhead.core.arguments import require
from polyhead.core.errors import ArchitectureError, SettingError
from polyhead.core.heads import HeadMask
from polyhead.models import pruning_record

if TYPE_CHECKING:  # Transformers is still being imported when the checkpoint loader is registered
    from transformers import PretrainedConfig, PreTrainedModel

Projection = Literal["query", "key", "value"]
PROJECTIONS: tuple[Projection, ...] = ("query", "key", "value")


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The layout of one family. Paths are dotted: `layers` starts at the base model, the next five at a layer.

    Attributes:
        model_type: As in the family's configs.
        layers: The list of layers.
        attention: The module that computes attention (its class picks the kernel).
        query, key, value: Projections whose output rows are blocks of heads. The same path three times means one fused
            projection with rows `[3, heads, head_dim]`.
        output: The projection whose input columns are the same blocks.
        head_count: Attribute of `attention` for the number of heads.
        width: Attribute of `attention` for heads × head_dim.
        feed_forward: Attribute of the config for the inner width of the feed-forward block.
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
    head_count: str
    width: str
    feed_forward: str = "intermediate_size"
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
)
_ROBERTA = replace(_BERT, model_type="roberta", positions_after_padding=True)

ARCHITECTURES: dict[str, Architecture] = {
    row.model_type: row
    for row in (
        _BERT,
        _ROBERTA,
        replace(_ROBERTA, model_type="xlm-roberta"),
        replace(_ROBERTA, model_type="camembert"),
        replace(_BERT, model_type="electra"),
        Architecture(
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
        ),
    )
}


def register_architecture(row: Architecture) -> None:
    """Add a family to `ARCHITECTURES` for this process, so that gates, pruning, scoring, saving and loading support it.

    Registering the same row again changes nothing. The paths are checked at the first use of a model of the family.

    Raises:
        SettingError: A field is not a dotted name, query, key and value are neither three projections nor one, or `model_type`
            already has another row.

    >>> register_architecture(ARCHITECTURES["bert"])
    """
    require(row=(row, Architecture))
    for field in fields(row):
        value = getattr(row, field.name)
        if field.name == "positions_after_padding":
            if not isinstance(value, bool):
                raise SettingError(f"positions_after_padding is {value!r}; expected True or False")
        elif not isinstance(value, str) or not value:
            raise SettingError(f"{field.name} is {value!r}; expected a non-empty string")
        elif field.name != "model_type" and not all(part.isidentifier() or part.isdecimal() for part in value.split(".")):
            raise SettingError(f"{field.name} is {value!r}; expected attribute names joined by dots, such as {_BERT.query}")
    if len({row.query, row.key, row.value}) == 2:
        raise SettingError("query, key and value name two modules; expected three projections, or one fused projection")
    if ARCHITECTURES.setdefault(row.model_type, row) != row:
        raise SettingError(f"model_type {row.model_type!r} already has another row: {ARCHITECTURES[row.model_type]}")


@dataclass(frozen=True)
class AttentionSite:
    """The attention of one layer: live modules, and the heads they still hold.

    Attributes:
        layer: 0-based index.
        block: The whole layer.
        attention: The module that computes attention.
        query, key, value: Projections into heads; the same module where the family fuses them.
        output: The output projection; its input `[..., len(kept) * head_dim]` is the concatenated head outputs.
        head_dim: Width of one head.
        kept: Heads still present, in the unpruned numbering and in the order of their blocks.
    """

    layer: int
    block: nn.Module
    attention: nn.Module
    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    output: nn.Linear
    head_dim: int
    kept: tuple[int, ...]

    @property
    def inputs(self) -> tuple[nn.Linear, ...]:
        """The distinct modules among query, key and value: three, or one where they are fused."""
        return tuple(dict.fromkeys((self.query, self.key, self.value)))

    @property
    def n_rows(self) -> int:
        """Rows of each module in `inputs`."""
        return len(self.kept) * self.head_dim * (len(PROJECTIONS) // len(self.inputs))

    def head_rows(self, projection: Projection) -> Tensor:
        """Rows of the projection's weight for each kept head: int64 `[len(kept), head_dim]`, on the CPU."""
        third = PROJECTIONS.index(projection) if len(self.inputs) == 1 else 0
        return _blocks(len(self.kept), self.head_dim) + third * len(self.kept) * self.head_dim

    def head_columns(self) -> Tensor:
        """Columns of the output projection's weight for each kept head: int64 `[len(kept), head_dim]`, on the CPU."""
        return _blocks(len(self.kept), self.head_dim)

    def split(self, joined: Tensor) -> Tensor:
        """The output projection's input `[..., len(kept) * head_dim]` as a view `[..., len(kept), head_dim]`."""
        return joined.view(*joined.shape[:-1], len(self.kept), self.head_dim)


def _blocks(n_heads: int, head_dim: int) -> Tensor:
    return torch.arange(n_heads * head_dim).view(n_heads, head_dim)


def architecture(config: PretrainedConfig) -> Architecture:
    """The row of a config's `model_type`.

    Raises:
        ArchitectureError: The family has no row.
    """
    kind = getattr(config, "model_type", None)
    if kind not in ARCHITECTURES:
        supported = f"{', '.join(ARCHITECTURES)} (see polyhead.register_architecture)"
        raise ArchitectureError(f"model_type {kind!r}: not supported; supported are {supported}")
    return ARCHITECTURES[kind]


_WRAPPERS = {
    "module": "a parallel wrapper; pass its .module",
    "get_base_model": "a PEFT model; pass .merge_and_unload(), or .get_base_model() to omit the adapter",
}


def _row(model: PreTrainedModel) -> Architecture:
    for name, advice in _WRAPPERS.items():
        if hasattr(model, name):
            raise ArchitectureError(f"{type(model).__name__} is {advice}")
    if not hasattr(model, "config") or not hasattr(model, "base_model"):
        raise ArchitectureError(f"{type(model).__name__} is not a Transformers model; pass what from_pretrained returns")
    return architecture(model.config)


def full_mask(model: PreTrainedModel) -> HeadMask:
    """Every head of the unpruned model, `[layers, heads]`.

    Raises:
        ArchitectureError: The model is a wrapper, or its family has no row.
    """
    _row(model)
    return HeadMask.full(model.config.num_hidden_layers, model.config.num_attention_heads)


def recorded_mask(model: PreTrainedModel) -> HeadMask:
    """The heads the model still has according to its config, not checked against the weights.

    Raises:
        ArchitectureError: The model is quantized.
        CheckpointError: The record is corrupt, or for a model of another size.
    """
    _row(model)
    return recorded_heads(model.config)


def recorded_heads(config: PretrainedConfig) -> HeadMask:
    """The heads of a model with this config, `[layers, heads]`; no weights are read.

    Raises:
        ArchitectureError: The family has no row, or the model is quantized.
        CheckpointError: The record of pruned heads is corrupt, or for a model of another size.
    """
    architecture(config)
    full = HeadMask.full(config.num_hidden_layers, config.num_attention_heads)
    record = getattr(config, pruning_record.KEY, None)
    if record is None:
        return full
    if not pruning_record.is_ours(record):
        raise ArchitectureError("the model is quantized, so its heads cannot be gated or pruned; load it unquantized")
    return pruning_record.read_record(record, full, folder=config.name_or_path)


def head_mask(model: PreTrainedModel) -> HeadMask:
    """The heads the model still has, `[layers, heads]` in the unpruned numbering.

    Raises:
        ArchitectureError: The family has no row, or the shapes of the weights contradict the config's record.
        CheckpointError: The record of pruned heads is corrupt.

    >>> import polyhead as ph
    >>> model = ph.Tagger.load("polyhead/tiny", task="pos", seed=42).model
    >>> mask = head_mask(model)
    >>> mask.n_layers, mask.n_heads, mask.n_pruned
    (4, 8, 0)
    """
    require(model=(model, nn.Module))
    mask = recorded_mask(model)
    attention_sites(model)
    return mask


def attention_sites(model: PreTrainedModel, *, mask: HeadMask | None = None) -> tuple[AttentionSite, ...]:
    """The attention of every layer, bottom up; live modules, not copies.

    Args:
        model: With any task head or none; may be compiled.
        mask: The heads that the weights hold; default: those that the config records.

    Raises:
        ArchitectureError: The family has no row, or the weights have an unexpected shape.
        CheckpointError: The record of pruned heads is corrupt.
    """
    row = _row(model)
    mask = recorded_mask(model) if mask is None else mask
    head_dim = model.config.hidden_size // model.config.num_attention_heads
    try:
        layers = attrgetter(row.layers)(model.base_model)
        paths = (row.attention, row.query, row.key, row.value, row.output)
        found = [[attrgetter(path)(layer) for path in paths] for layer in layers]
    except AttributeError as error:
        kind = type(model).__name__
        raise ArchitectureError(f"{kind}: {error}; expected the modules of a plain {model.config.model_type!r} model") from None
    if not found:
        raise ArchitectureError(f"{type(model).__name__}: the model has no layers")
    if len(found) != mask.n_layers:
        raise ArchitectureError(f"the model holds {len(found)} layers but its config says {mask.n_layers}")
    sites = []
    for i, (layer, (attention, query, key, value, output)) in enumerate(zip(layers, found, strict=True)):
        kept = tuple(int(head) for head in mask.keep[i].nonzero()[0])
        site = AttentionSite(i, layer, attention, query, key, value, output, head_dim=head_dim, kept=kept)
        _check(site)
        sites.append(site)
    return tuple(sites)


def _check(site: AttentionSite) -> None:
    for module in (*site.inputs, site.output):
        if not isinstance(module, nn.Linear):
            kind = f"{type(module).__module__}.{type(module).__qualname__}"
            expected = "torch.nn.Linear (merge adapters, load unquantized)"
            raise ArchitectureError(f"layer {site.layer}: a projection is a {kind}; expected {expected}")
    if len(site.inputs) == 2 or len({id(module.weight) for module in site.inputs}) < len(site.inputs):
        raise ArchitectureError(f"layer {site.layer}: query, key and value share weights; expected three, or one fused")
    width = len(site.kept) * site.head_dim
    found = (*(module.weight.shape[0] for module in site.inputs), site.output.weight.shape[1])
    expected = (*(site.n_rows for _ in site.inputs), width)
    if found != expected:
        need = f"the config has {len(site.kept)} heads of width {site.head_dim}, which need {expected}"
        step = "the config and the weights belong to different models"
        raise ArchitectureError(f"layer {site.layer}: the projections have {found} head rows and columns, but {need}; {step}")
