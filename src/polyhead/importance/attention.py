"""How peaked a head's attention is: confidence and entropy (Voita et al. 2019). Both ignore the head's output."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.importance.data_pass import data_pass, mean_scores, report_sentences, wide, zeros
from polyhead.importance.method import Call
from polyhead.learning.batching import Batch
from polyhead.models.architectures import AttentionSite, Projection, attention_sites, full_mask
from polyhead.models.devices import Precision, attention_kernel
from polyhead.models.gates import gated

# log weights `[rows, heads, queries, keys]`, −inf on keys that are not text → one number per query
Shape = Callable[[Tensor], Tensor]


def confidence(model: PreTrainedModel, batches: Sequence[Batch], call: Call) -> HeadScores:
    """Importance `[layers, heads]`, 0..1: the mean over queries of the largest attention weight on one key.

    Queries and keys are subwords, not special tokens or padding. Special tokens keep their share of the weight, so a head that
    attends to `[SEP]` is not confident. The mean is taken over the queries of a sentence (of all its windows; subwords in an
    overlap count in each), then over sentences, labelled or not; `total` is the sum over sentences and `n` their number.
    Attention weights are computed in float32 from queries and keys.

    The head's output is ignored: a head with a zeroed output keeps its score. Costs one forward pass and no backward pass.

    Raises:
        SettingError: There is no sentence.

    Source: Voita et al. 2019, "Analyzing multi-head self-attention".
    """
    return _mean_over_queries(model, batches, call, lambda log_weights: log_weights.amax(dim=-1).exp())


def entropy(model: PreTrainedModel, batches: Sequence[Batch], call: Call) -> HeadScores:
    """Importance `[layers, heads]`, 0 or less: minus the mean entropy, in nats, of each query's attention weights over subwords.

    Unlike in `confidence`, the weights on subwords are first rescaled to sum to one, without special tokens. Scores run from
    −log(length) for uniform attention to 0 for attention to one subword; a negative score does not mean that the head harms.
    Short sentences have less entropy, so compare heads only on the same data. Means, `total`, `n` and cost are those of
    `confidence`.

    Raises:
        SettingError: There is no sentence.

    Source: Voita et al. 2019, "Analyzing multi-head self-attention".
    """
    return _mean_over_queries(model, batches, call, _minus_entropy)


def _minus_entropy(log_weights: Tensor) -> Tensor:
    logs = log_weights.log_softmax(dim=-1)
    return (logs.exp() * logs.masked_fill(logs == -torch.inf, 0)).sum(dim=-1)  # 0 log 0 = 0


def _mean_over_queries(model: PreTrainedModel, batches: Sequence[Batch], call: Call, shape: Shape) -> HeadScores:
    total = zeros(model)
    n = 0
    with data_pass(model, batches, call) as given, torch.inference_mode():
        for batch in given:
            means, has_text = _means(model, batch, shape, total.shape, call.precision)
            total += wide(means.sum(dim=0))
            n += int(has_text.sum())
            report_sentences(call, batch, means)
    if n == 0:
        raise SettingError("no sentence to score heads on: check that the data has words")
    return mean_scores(call, total, n)


def _means(
    model: PreTrainedModel, batch: Batch, shape: Shape, size: tuple[int, ...], precision: Precision
) -> tuple[Tensor, Tensor]:
    """Mean over each sentence's queries, `[sentences, layers, heads]`, and which sentences have any."""
    text, n = batch.is_text, len(batch.sentences)
    dtype = torch.promote_types(model.dtype, torch.float32)
    found = torch.zeros(n, *size, device=text.device, dtype=dtype)
    queries = torch.zeros(n, device=text.device, dtype=dtype).index_add(0, batch.rows, text.sum(dim=1).to(dtype))

    def receive(site: AttentionSite, log_weights: Tensor) -> None:
        by_query = shape(log_weights.masked_fill(~text[:, None, None, :], -torch.inf))
        by_row = by_query.masked_fill(~text[:, None, :], 0).sum(dim=-1)  # [rows, kept heads]
        by_sentence = by_row.new_zeros(n, len(site.kept)).index_add(0, batch.rows, by_row)
        found[:, site.layer, list(site.kept)] = by_sentence / queries.clamp(min=1)[:, None]

    each_attention(model, batch, receive, precision=precision)
    return found, queries > 0


Receive = Callable[[AttentionSite, Tensor], None]


def each_attention(model: PreTrainedModel, batch: Batch, receive: Receive, *, precision: Precision) -> None:
    """Calls `receive` once per layer, bottom up, with the layer's attention while the batch runs; returns None.

    `receive` gets the layer's site and the natural logarithm of the weights, `[rows, kept heads, queries, keys]`, in the order of
    `site.kept`; float32, or float64 for a float64 model. Logarithms keep weights such as 1e-50 that would underflow to 0, so
    shares among a few keys stay exact. Padding keys have −inf; rows of padding queries are meaningless. Only one layer is held in
    memory. Layers without heads are skipped.

    Costs one forward pass, plus one query-key product per layer. `output_attentions` is not used: fused kernels return no
    weights, and switching kernels would change what is measured.

    Args:
        model: A token classifier, pruned or not, in eval mode (attention's dropout is never applied here).
        batch: On the model's device.
        receive: Called once per layer, without a graph if the caller's block has none.
        precision: Precision of the caller's block; attention logits are float32 in either.

    Raises:
        ArchitectureError: The family has no row in `ARCHITECTURES`.
    """
    visible = batch.attention_mask.bool()[:, None, None, :]
    with ExitStack() as stack:
        # compiled code bypasses hooks; under gates (here all heads kept) the model runs eagerly
        stack.enter_context(gated(model, full_mask(model)))
        for site in attention_sites(model):
            if site.kept:
                _watch(stack, site, visible, receive)
        stack.enter_context(attention_kernel(visible.device, visible.shape[-1], precision, work="predict"))
        model(**batch.short_inputs)


def _watch(stack: ExitStack, site: AttentionSite, visible: Tensor, receive: Receive) -> None:
    seen: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, args: object, output: Tensor) -> None:
        seen[module] = output

    def give(module: nn.Module, args: object) -> None:
        query, key = _heads(site, "query", seen[site.query]), _heads(site, "key", seen[site.key])
        seen.clear()
        receive(site, _log_weights(query, key, visible))

    for module in dict.fromkeys((site.query, site.key)):
        stack.callback(module.register_forward_hook(keep).remove)
    stack.callback(site.output.register_forward_pre_hook(give).remove)


def _heads(site: AttentionSite, projection: Projection, joined: Tensor) -> Tensor:
    """Output of a projection, `[rows, kept heads, length, head_dim]`, in float32 at least."""
    heads = joined[..., site.head_rows(projection).to(joined.device)]
    return heads.to(torch.promote_types(joined.dtype, torch.float32)).transpose(1, 2)


def _log_weights(query: Tensor, key: Tensor, visible: Tensor) -> Tensor:
    with torch.autocast(query.device.type, enabled=False):
        logits = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        weights: Tensor = logits.masked_fill(~visible, -torch.inf).log_softmax(dim=-1)
    return weights
