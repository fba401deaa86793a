"""Methods from the gradients of head gates: their size (`gradient`), squared (`fisher`), and along a path (`integrated`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.heads import HeadScores
from polyhead.importance.data_pass import mean_scores, report_sentences, wide, zeros
from polyhead.importance.gate_pass import visit_gradients
from polyhead.importance.method import Call
from polyhead.learning.batching import Batch


def gradient(
    model: PreTrainedModel, batches: Sequence[Batch], call: Call, *, per: Literal["sentence", "token", "batch"] = "sentence"
) -> HeadScores:
    """Importance `[layers, heads]`, 0 or more: the absolute gradient of the sentence loss with respect to the head's gate.

    With g_x = ∂L_x/∂gate at all gates 1, as in `visit_gradients`: `sentence` gives (1/N) Σ_x |g_x|; `token` splits g_x over the
    positions of the head's output and gives (1/N) Σ_x Σ_t |g_xt|; `batch` gives (1/N) Σ_b |Σ_{x∈b} g_x|, which depends on the
    batching and exists for comparison. N (`n`) counts sentences with a labelled word; others are skipped. `signed` is
    −(1/N) Σ_x g_x: positive where turning the head down raises the loss.

    Costs one forward pass and one backward pass over activations only: no weight gradient is computed.

    Raises:
        SettingError: No sentence has a labelled word.

    Source: Michel, Levy, Neubig 2019, "Are sixteen heads really better than one?"; Ma et al. 2021.
    """
    total, signed = zeros(model), zeros(model)

    def visit(batch: Batch, gradients: Tensor, labelled: Tensor) -> None:
        units = tuple(range(gradients.ndim - 2))
        sums = gradients.sum(dim=units)
        total[...] += wide(sums.abs() if per == "batch" else gradients.abs().sum(dim=units))
        signed[...] -= wide(sums)
        if per != "batch":
            report_sentences(call, batch, _by_sentence(batch, gradients.abs()), -_by_sentence(batch, gradients))

    n = visit_gradients(model, batches, call, visit, by_token=per == "token")
    return mean_scores(call, total, n, signed=signed, backward=1, settings={"per": per})


def _by_sentence(batch: Batch, values: Tensor) -> Tensor:
    """Values of sentences as they are, `[sentences, layers, heads]`; values by token summed over each sentence."""
    if values.ndim == 3:
        return values
    return values.new_zeros(len(batch.sentences), *values.shape[2:]).index_add(0, batch.rows, values.sum(dim=1))


def fisher(model: PreTrainedModel, batches: Sequence[Batch], call: Call) -> HeadScores:
    """Importance `[layers, heads]`, 0 or more: the mean over sentences of the squared gradient with respect to the head's gate.

    With g_x as in `gradient`, `total` is Σ_x g_x², the diagonal of the empirical Fisher information up to a factor N, and
    `values` is `total` / N, comparable between data sets of different sizes. Compared with `gradient` it gives more weight to the
    few sentences for which a head matters much. Squares have no sign, so `signed` is None. Squares and sums are float64.

    Costs one forward pass and one backward pass over activations only.

    Raises:
        SettingError: No sentence has a labelled word.

    Source: Kwon et al. 2022, "A fast post-training pruning framework for transformers".
    """
    total = zeros(model)

    def visit(batch: Batch, gradients: Tensor, labelled: Tensor) -> None:
        squares = gradients.cpu().double().square()
        total[...] += wide(squares.sum(dim=0))
        report_sentences(call, batch, squares)

    n = visit_gradients(model, batches, call, visit)
    return mean_scores(call, total, n, backward=1)


STEPS = 16


@dataclass(frozen=True, kw_only=True)
class IntegratedOptions:
    """Options of `integrated`."""

    steps: Annotated[int, Field(ge=1, description="integration points between all heads off and all on")] = STEPS


def integrated(model: PreTrainedModel, batches: Sequence[Batch], call: Call) -> HeadScores:
    """Importance `[layers, heads]`: each head's share of mean L(0) − L(1), the loss reduction by all heads together.

    All gates go from 0 to 1 together. The head's share is −(1/N) Σ_x of the mean over j = 1..m of ∂L_x/∂gate at all gates
    (j − ½)/m: the midpoint rule for an integral whose shares add up to mean L(0) − L(1). With m points (`steps`) they do so
    approximately, better with more points. Values are signed: a negative score means that the head raises the loss. `signed` is
    None, since it would repeat the values; `total` is the sum over sentences, signed too. N counts sentences with a labelled
    word.

    On most of the path every head is partly on, a state in which the model was never trained. A share is what the head
    contributes next to the others at all strengths, not the loss of removing only that head.

    Costs m forward passes and m backward passes over activations only.

    Raises:
        SettingError: No sentence has a labelled word.

    Source: Sundararajan et al. 2017, "Axiomatic attribution for deep networks", on gates; close to Hao et al. 2021.
    """
    steps = call.options.steps
    total = zeros(model)

    def visit(batch: Batch, gradients: Tensor, labelled: Tensor) -> None:
        shares = -gradients.cpu().double() / steps
        total[...] += wide(shares.sum(dim=0))
        report_sentences(call, batch, shares)

    points = [(step + 0.5) / steps for step in range(steps)]
    n = visit_gradients(model, batches, call, visit, at=points)
    return mean_scores(call, total, n, forward=steps, backward=steps, settings={"steps": steps})
