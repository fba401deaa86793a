"""The greedy oracle: a pruning order found by trying every remaining head at each step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.progress import Progress, tracking
from polyhead.core.values import fingerprint
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.learning.batching import scoring_batches
from polyhead.learning.inference import Labelled
from polyhead.learning.masked_evaluation import masked_scores
from polyhead.learning.resumable import kept_at, saving
from polyhead.models.devices import PrecisionChoice, placement
from polyhead.models.model_heads import head_mask


@dataclass(frozen=True)
class Oracle:
    """A greedy pruning order and its scores.

    Attributes:
        order: Heads in pruning order.
        scores: The task's main metric, a fraction in 0..1, with the first k heads ablated, for k = 0..K.
    """

    order: tuple[HeadId, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True)
class Shortlist:
    """The heads that each step of the oracle tries, where trying all would take too long.

    Attributes:
        name: What identifies the choice; unfinished work of another one is refused.
        size: Most heads in a step.
        heads: From the heads that are still on to those to try, at least one.
    """

    name: str
    size: int
    heads: Callable[[HeadMask], Sequence[HeadId]]


def greedy_order(
    model: PreTrainedModel,
    data: Labelled,
    task: Task,
    labels: LabelSet,
    *,
    n_steps: int,
    shortlist: Shortlist | None = None,
    precision: PrecisionChoice = "auto",
    budget: int = 1024,
    progress: Progress | None = None,
    resume_file: Path | None = None,
) -> Oracle:
    """The first `n_steps` heads when each step prunes the head whose removal leaves the best score on `data`.

    Ties in the score are broken by the lower mean loss over labelled words, then by the lower address. Every remaining head, or
    every one of a shortlist, is tried at every step, without retraining; the scores equal those of `pruning_curve` for this
    order. The greedy order is not always optimal, and it is fitted to these sentences: it is worth less on others.

    With L layers, a step with h candidates costs one forward pass over the data plus about h (L + 1) / (2L), because layers below
    a candidate are not computed again. Half of 12 x 12 heads take about 4,300 passes; with 24 candidates a step, about 1,000.

    Args:
        model: A token classifier with as many outputs as `labels`, pruned or not; unchanged afterwards.
        data: Sentences and gold labels, for example a seeded sample of a dev set.
        task: Its main metric is the score.
        labels: Names of the outputs.
        n_steps: K, from 1 to the number of heads that the model has.
        shortlist: The heads to try at each step, for example from `oracle_shortlist`; all if None.
        precision: Precision of matrix products; `auto` is bf16 where the device supports it.
        budget: Padded positions in a batch.
        progress: Updated after every candidate in every batch.
        resume_file: Saved from time to time and on interruption; a later call with the same model, data and settings continues
            from there, also to more steps. With another thread count or version the last digits of losses may differ; a
            warning says so.

    Raises:
        SettingError: `n_steps` is out of range, or no word has a gold label.
        StoreError: `resume_file` holds other work, or cannot be read or written.
    """
    present = head_mask(model)
    if not 1 <= n_steps <= present.n_kept:
        raise SettingError(f"oracle of {n_steps} steps: expected 1 to {present.n_kept}, the heads of this model")
    _, chosen = placement(model, precision=precision)
    batches = scoring_batches(data.encoded, budget=budget)
    facts = {"metric": task.metric, "precision": chosen, "labels": list(labels.names), "heads": fingerprint(present.keep)}
    facts |= {} if shortlist is None else {"candidates": shortlist.name}
    kept = kept_at(resume_file, model, batches, {"method": "oracle", **facts, "gold labels": fingerprint(data.gold)})
    known = kept.load() or {"order": [], "scores": []}
    order, scores = [HeadId.parse(head) for head in known["order"]], list(known["scores"])
    most = present.n_kept if shortlist is None else shortlist.size
    n_passes = sum(min(most, present.n_kept - step) + 1 for step in range(len(order), n_steps))
    with (
        tracking(progress, len(batches) * n_passes, "oracle") as advance,
        saving(kept, lambda: {"order": [str(head) for head in order], "scores": scores}) as stepped,
    ):
        tried = partial(masked_scores, model, batches, data, task, labels, precision=chosen, advance=advance)
        while len(order) < n_steps:
            before, head, after = _step(present, order, shortlist, tried)
            scores = [*(scores or [before]), after]
            order.append(head)
            stepped()
    return Oracle(tuple(order[:n_steps]), tuple(scores[: n_steps + 1]))


def _step(
    present: HeadMask,
    gone: Sequence[HeadId],
    shortlist: Shortlist | None,
    tried: Callable[[Sequence[HeadMask]], Sequence[NDArray[np.float64]]],
) -> tuple[float, HeadId, float]:
    """The score before the step, the pruned head, and the score after."""
    now = present & HeadMask.without(*present.shape, gone)
    # top layer first: the layers below a candidate are then unchanged from the mask before the step
    candidates = sorted(now.kept if shortlist is None else shortlist.heads(now), key=lambda head: (-head.layer, head.head))
    figures = tried([now, *(now & HeadMask.without(*present.shape, [head]) for head in candidates)])
    scores, losses = (figure.tolist() for figure in figures)
    best = min(range(1, len(scores)), key=lambda i: (-scores[i], losses[i], candidates[i - 1]))
    return scores[0], candidates[best - 1], scores[best]
