"""The greedy oracle: the order of heads found by trying, at each step, what every single further removal would score."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.files import read_json, write_json_atomic
from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.progress import Progress, Silent
from polyhead.core.values import fingerprint
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.learning.batching import scoring_batches
from polyhead.learning.inference import Labelled
from polyhead.learning.masked_evaluation import MaskedScores, masked_scores
from polyhead.learning.resumable import identity_of
from polyhead.models.architectures import head_mask
from polyhead.models.devices import PrecisionChoice, placement
from polyhead.models.environment import machine, warn_of_another_machine

SCHEMA = 1


@dataclass(frozen=True)
class Oracle:
    """What the search found.

    Attributes:
        order: Heads in the order in which they went.
        scores: The task's main figure, a fraction in 0..1, with the first k of them ablated, for k = 0..K.
    """

    order: tuple[HeadId, ...]
    scores: tuple[float, ...]


def greedy_order(
    model: PreTrainedModel,
    data: Labelled,
    task: Task,
    labels: LabelSet,
    *,
    n_steps: int,
    precision: PrecisionChoice = "auto",
    budget: int = 1024,
    progress: Progress | None = None,
    resume_file: Path | None = None,
) -> Oracle:
    """The first `n_steps` heads to go when each step removes the head whose removal leaves the best score on `data`.

    Ties in the score go to the lower mean loss over labelled words, then to the lower address. Nothing is retrained, every head
    that is left is tried at every step, and the scores are those that `pruning_curve` gives for this order. Greedy is no proven
    optimum, and the order is made for these very sentences: on others it is worth less.

    With H heads in L layers a step of h candidates costs one forward pass over the data and about h (L + 1) / (2L) more, since
    candidates are tried from the top layer down and layers below a candidate are not computed again. Half of 12 x 12 heads
    are some 4,300 passes.

    Args:
        model: A token classifier with as many outputs as `labels`, pruned or not; left as it was found.
        data: Sentences and gold labels that the oracle may look at; a seeded sample of a dev set will do.
        task: Its main figure is the score.
        labels: What the outputs mean.
        n_steps: K, from 1 to the number of heads that the model has.
        precision: Of the matrix products; `auto` is bf16 where the device has units for it.
        budget: Padded positions in a batch.
        progress: Told of every candidate in every batch.
        resume_file: JSON file that holds the order so far after every step; a later call with the same model, data and settings
            continues from there, also to more steps. Under another thread count or version the last digits of losses may differ,
            which is warned of.

    Raises:
        SettingError: `n_steps` is out of range, or no word has a gold label.
        StoreError: `resume_file` belongs to another search, or cannot be read or written.
    """
    present = head_mask(model)
    if not 1 <= n_steps <= present.n_kept:
        raise SettingError(f"oracle of {n_steps} steps: this model has heads for 1 to {present.n_kept}")
    device, chosen = placement(model, precision=precision)
    batches = scoring_batches(data.encoded, budget=budget)
    settings = {"metric": task.metric, "precision": chosen, "labels": list(labels.names), "heads": fingerprint(present.keep)}
    facts = {**settings, "gold labels": fingerprint(data.gold)}
    kept = _Kept(
        resume_file,
        identity={} if resume_file is None else identity_of(model, batches, facts),
        device=device,
    )
    order, scores = kept.load()
    watch = progress or Silent()
    watch.start(len(batches) * sum(present.n_kept - step + 1 for step in range(len(order), n_steps)), "oracle")

    def tried(masks: Sequence[HeadMask]) -> MaskedScores:
        return masked_scores(model, batches, data, task, labels, masks, precision=chosen, advance=watch.advance)

    try:
        while len(order) < n_steps:
            before, head, after = _step(present, order, tried)
            scores = [*(scores or [before]), after]
            order.append(head)
            kept.save(order, scores)
    finally:
        watch.stop()
    return Oracle(tuple(order[:n_steps]), tuple(scores[: n_steps + 1]))


def _step(
    present: HeadMask, gone: Sequence[HeadId], tried: Callable[[Sequence[HeadMask]], MaskedScores]
) -> tuple[float, HeadId, float]:
    """The score before the step, the head to remove, the score after it."""
    shape = (present.n_layers, present.n_heads)
    now = present & HeadMask.without(*shape, gone)
    # from the top down: all layers below a candidate still hold what the mask before the step left there
    candidates = sorted(now.kept, key=lambda head: (-head.layer, head.head))
    found = tried([now, *(now & HeadMask.without(*shape, [head]) for head in candidates)])
    scores, losses = found.scores.tolist(), found.losses.tolist()
    best = min(range(1, len(scores)), key=lambda i: (-scores[i], losses[i], candidates[i - 1]))
    return scores[0], candidates[best - 1], scores[best]


class _Kept:
    """The steps done, in a file that is replaced after every step; nothing is kept where there is no path."""

    def __init__(self, path: Path | None, *, identity: Mapping[str, Any], device: torch.device) -> None:
        self._path, self._identity, self._machine = path, dict(identity), machine(device)

    def load(self) -> tuple[list[HeadId], list[float]]:
        """The order so far and its scores, one more than steps; both empty before the first step."""
        if self._path is None or not self._path.exists():
            return [], []
        held = read_json(self._path)
        try:
            if held["schema"] != SCHEMA:
                raise StoreError(f"{self._path}: schema {held['schema']!r}, expected {SCHEMA}; delete it to start again")
            self._check(held)
            order, scores = [HeadId.parse(head) for head in held["order"]], [float(score) for score in held["scores"]]
            if len(scores) != len(order) + 1 or len(set(order)) != len(order):
                raise ValueError(f"{len(order)} heads with {len(scores)} scores")
        except (KeyError, TypeError, ValueError, AttributeError, SettingError) as error:
            raise StoreError(f"{self._path}: no usable oracle ({error}); delete it to start again") from None
        return order, scores

    def _check(self, held: Mapping[str, Any]) -> None:
        others = [name for name, value in self._identity.items() if held["identity"].get(name) != value]
        if others:
            raise StoreError(f"{self._path}: belongs to an oracle with other {', '.join(others)}; take another file or delete it")
        warn_of_another_machine(str(self._path), self._machine, held["machine"])

    def save(self, order: Sequence[HeadId], scores: Sequence[float]) -> None:
        """Store the steps done; a kill at any moment leaves these or those before the last step."""
        if self._path is not None:
            content = {"schema": SCHEMA, "identity": self._identity, "machine": self._machine}
            write_json_atomic(self._path, {**content, "order": [str(head) for head in order], "scores": scores})
