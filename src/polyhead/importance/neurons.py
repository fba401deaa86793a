"""Scores of heads and of the neurons of feed-forward blocks by one method, in the same passes over the data."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.neurons import NeuronMask, PlanScores
from polyhead.core.progress import Progress
from polyhead.importance.method import Call
from polyhead.importance.methods import check_finite_scores, checked_method, scored
from polyhead.importance.table import METHODS
from polyhead.learning.batching import Batch
from polyhead.models.devices import PrecisionChoice, placement
from polyhead.models.model_neurons import neuron_mask, neuron_sites


def score_plan(
    method: str,
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    precision: PrecisionChoice = "auto",
    seed: int = 42,
    progress: Progress | None = None,
) -> PlanScores:
    """Importance of every head and every neuron by one method; the heads' scores are those of `score_heads`.

    A neuron's gate multiplies its activation. `gradient` gives (1/N) Σ_x |g_x| with g_x = ∂L_x/∂gate, `fisher` the mean of g_x²,
    both for heads and neurons in one forward and one backward pass. `magnitude` is the norm of the weights into a neuron (of both
    rows in a gated unit), without biases, times the norm of those out of it; `random` is drawn from the seed. For `gradient`,
    `signed` is −(1/N) Σ_x g_x: positive where turning the neuron down raises the loss.

    Memory beside that of `score_heads`: gates and gradients of the sentences of one batch, 4 bytes for each sentence, layer and
    neuron, and copies of them in the graph, about five times in all. That is less than the activations of the batch, which hold
    several such numbers for every position: for BERT base and the 1,024 positions of a batch at most 50 MB each, if all its
    sentences have 3 subwords, and 8 MB with 20 subwords.

    Args:
        method: `gradient`, `fisher`, `magnitude` or `random`.
        model: A token or sentence classifier, pruned or not.
        batches: Labelled sentences from `scoring_batches`; `magnitude` and `random` do not read them.
        precision: Precision of matrix products; `auto` is bf16 where the device supports it.
        seed: Random seed.
        progress: Updated as work is done.

    Raises:
        UnknownNameError: No method has this name.
        SettingError: The method does not score neurons; and as `score_heads`.
        ArchitectureError: The family's row does not say where its neurons are.

    Source: Michel et al. 2019 and Kwon et al. 2022, as for heads.

    >>> import polyhead as ph
    >>> tagger = ph.Tagger.load("polyhead/tiny", task="pos", seed=42)
    >>> batches = ph.scoring_batches(tagger.encode(ph.sample(ph.open_corpus("phrases/en", "dev"), 16, seed=1)))
    >>> scores = score_plan("fisher", tagger.model, batches)
    >>> scores.heads.shape, scores.neurons.shape
    ((4, 8), (4, 512))
    """
    row = checked_method(method, model, batches, seed)
    if row.gradient_power is None and method not in _WITHOUT_DATA:
        known = [name for name, own in METHODS.items() if own.gradient_power or name in _WITHOUT_DATA]
        raise SettingError(f"method {method} does not score neurons; these do: {', '.join(known)}")
    has = neuron_mask(model)
    total = np.where(has.keep, 0.0, np.nan)
    signed = total.copy()

    def visit(batch: Batch, gradients: Tensor, labelled: Tensor) -> None:
        for layer in range(has.n_layers):  # one at a time: float64 takes twice the memory
            own = gradients[:, layer].cpu().double()
            signed[layer] -= own.sum(dim=0).numpy()
            total[layer] += own.abs_().pow_(row.gradient_power or 1).sum(dim=0).numpy()

    chosen = placement(model, precision=precision)[1]
    call = Call(
        method=method,
        seed=seed,
        precision=chosen,
        progress=progress,
        options=row.chosen(),
        visit_neurons=visit if row.gradient_power else None,
    )
    heads = scored(row, model, batches, call)
    found = _WITHOUT_DATA[method](model, has, seed) if method in _WITHOUT_DATA else total / heads.n
    check_finite_scores(method, model, found, has.keep, one="neuron")
    return PlanScores(heads, found, signed / heads.n if row.gradient_power == 1 else None)


def _magnitude(model: PreTrainedModel, has: NeuronMask, seed: int) -> NDArray[np.float64]:
    values = np.full(has.shape, np.nan)
    with torch.no_grad():
        for site in neuron_sites(model):
            rows = site.input_rows()
            into = sum(module.weight.cpu().double()[rows].square().sum(dim=(1, 2)) for module in site.inputs)
            out = site.output.weight.cpu().double().square().sum(dim=0)
            values[site.layer, list(site.kept)] = (into * out).sqrt().numpy()
    return values


def _random(model: PreTrainedModel, has: NeuronMask, seed: int) -> NDArray[np.float64]:
    # another stream than that of the heads
    return np.where(has.keep, np.random.default_rng((seed, 1)).random(has.shape), np.nan)


_WITHOUT_DATA: dict[str, Callable[[PreTrainedModel, NeuronMask, int], NDArray[np.float64]]] = {
    "magnitude": _magnitude,
    "random": _random,
}
