"""How peaked a head's attention is: confidence and entropy (Voita et al. 2019). Both ignore the head's output."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from transformers import PreTrainedModel

from polyhead.core.errors import ArchitectureError, SettingError
from polyhead.core.heads import HeadScores
from polyhead.importance.data_pass import data_pass, mean_scores, report_sentences, wide, zeros
from polyhead.importance.method import Call
from polyhead.learning.batching import Batch
from polyhead.models.devices import Precision, attention_kernel
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites, full_mask
from polyhead.models.sites import AttentionSite

# log weights `[rows, heads, queries, keys]`, −inf on keys that are not text → one number per query
Shape = Callable[[Tensor], Tensor]


def confidence(model: PreTrainedModel, batches: Sequence[Batch], call: Call) -> HeadScores:
    """Importance `[layers, heads]`, 0..1: the mean over queries of the largest attention weight on one key.

    Queries and keys are subwords, not special tokens or padding. Special tokens keep their share of the weight, so a head that
    attends to `[SEP]` is not confident. The mean is taken over the queries of a sentence (of all its windows; subwords in an
    overlap count in each), over the uses of a layer that is used several times, then over sentences, labelled or not; `total` is
    the sum over sentences and `n` their number. Attention weights are computed in float32.

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
        found[:, site.layer, list(site.kept)] += by_sentence / queries.clamp(min=1)[:, None] / site.uses

    each_attention(model, batch, receive, precision=precision)
    return found, queries > 0


Receive = Callable[[AttentionSite, Tensor], None]


def each_attention(model: PreTrainedModel, batch: Batch, receive: Receive, *, precision: Precision) -> None:
    """Calls `receive` whenever a layer runs, bottom up, with the layer's attention while the batch runs; returns None.

    `receive` gets the layer's site and the natural logarithm of the weights, `[rows, kept heads, queries, keys]`, in the order of
    `site.kept`; float32, or float64 for a float64 model. They are the model's own weights, with position biases, rotations and
    windows. Logarithms keep weights such as 1e-50 that would underflow to 0, so shares among a few keys stay exact. Padding keys
    have −inf; rows of padding queries are meaningless. Only one layer is held in memory. Layers without heads are skipped. A
    layer that is used several times, because its weights are shared, is given as often.

    Costs one forward pass, plus one query-key product per layer. `output_attentions` is not used: fused kernels return no
    weights, and switching kernels would change what is measured. What the kernel is given is read instead.

    Args:
        model: A token classifier, pruned or not, in eval mode (attention's dropout is never applied here).
        batch: On the model's device.
        receive: Called once per layer, without a graph if the caller's block has none.
        precision: Precision of the caller's block; attention logits are float32 in either.

    Raises:
        ArchitectureError: The family has no row in `ARCHITECTURES`, or a layer calls neither of the two kernels.
    """
    visible = batch.attention_mask.bool()[:, None, None, :]
    with ExitStack() as stack:
        # compiled code bypasses hooks; under gates (here all heads kept) the model runs eagerly
        stack.enter_context(gated(model, full_mask(model)))
        reader = _Reader(visible, receive)
        for site in attention_sites(model):
            if site.kept:
                stack.callback(site.attention.register_forward_pre_hook(partial(reader.enter, site)).remove)
                stack.callback(site.attention.register_forward_hook(partial(reader.leave, site)).remove)
        stack.enter_context(attention_kernel(visible.device, visible.shape[-1], precision, work="predict"))
        stack.enter_context(reader)
        model(**batch.short_inputs)


class _Reader(TorchFunctionMode):
    """Reads what the attention module that is running gives to torch's fused kernel, or to a softmax."""

    def __init__(self, visible: Tensor, receive: Receive) -> None:
        super().__init__()
        self._visible, self._receive = visible, receive
        self._running: AttentionSite | None = None

    def enter(self, site: AttentionSite, module: nn.Module, args: object) -> None:
        """The site's attention module starts."""
        self._running = site

    def leave(self, site: AttentionSite, module: nn.Module, args: object, output: object) -> None:
        """The site's attention module ends."""
        if self._running is not None:
            raise ArchitectureError(f"layer {site.layer}: its attention uses no known kernel; expected sdpa or a softmax")

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Calls the function, after a look at its arguments."""
        given = dict(kwargs or {})
        if self._running is not None and func in (*_SOFTMAX, F.scaled_dot_product_attention):
            site, self._running = self._running, None
            scores = _scores(*args, **given) if func is F.scaled_dot_product_attention else _given(*args, **given)
            with torch.autocast(scores.device.type, enabled=False):
                wide = scores.to(torch.promote_types(scores.dtype, torch.float32))
                logs = wide.masked_fill(~self._visible, -torch.inf).log_softmax(dim=-1)
            self._receive(site, logs.view(len(self._visible), len(site.kept), *logs.shape[-2:]))
        return func(*args, **given)


_SOFTMAX = (F.softmax, torch.softmax, Tensor.softmax)


def _given(scores: Tensor, *args: object, **named: object) -> Tensor:
    return scores


def _scores(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Logits of a call of the fused kernel, `[rows, heads, queries, keys]`, in float32 at least."""
    query, key = (part.to(torch.promote_types(part.dtype, torch.float32)) for part in (query, key))
    if key.shape[1] < query.shape[1]:
        key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    with torch.autocast(query.device.type, enabled=False):
        logits = (query * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.transpose(-1, -2)
    if is_causal:
        logits = logits.masked_fill(torch.ones_like(logits, dtype=torch.bool).triu(1), -torch.inf)
    if attn_mask is None:
        return logits
    if attn_mask.dtype == torch.bool:
        return logits.masked_fill(~attn_mask, -torch.inf)
    return logits + attn_mask.to(logits.dtype)
