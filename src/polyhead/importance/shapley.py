"""Shapley values of heads: mean contribution over random removal orders (Held and Yang 2023)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask, HeadScores
from polyhead.importance.data_pass import data_pass, labelled_sentences
from polyhead.importance.method import Call
from polyhead.importance.shapley_estimate import Estimate, Walked, estimate_of
from polyhead.importance.shapley_walks import expected_cost, find_ends, random_order, walk
from polyhead.learning.batching import Batch
from polyhead.learning.resumable import kept_at, saving
from polyhead.models.model_heads import head_mask

_FEWEST_ROUNDS = 2


@dataclass(frozen=True, kw_only=True)
class ShapleyOptions:
    """Options of `shapley`."""

    n_lowest: Annotated[int, Field(ge=1, description="lowest heads to settle: as many as you plan to prune")] = 12
    max_passes: Annotated[float | None, Field(gt=0, description="most forward passes over the data")] = None
    max_rounds: Annotated[int, Field(ge=2, description="most rounds")] = 64
    truncation: Annotated[float, Field(ge=0, lt=1, description="share of the total effect at which a walk ends early")] = 0.0


def shapley(model: PreTrainedModel, batches: Sequence[Batch], call: Call) -> HeadScores:
    """Importance `[layers, heads]`: the mean of v(S with the head) - v(S) over random orders, S being the heads still on.

    v(S) is minus the mean loss over sentences with the heads outside S off. Values are signed and, without truncation, add up to
    v(all) - v(none). Every sentence has its own random orders, each walked in both directions, from all heads to none. `low` and
    `high` bound the 95 % interval over random orders for these sentences, not over other sentences; it is somewhat too narrow
    after few rounds of few batches.

    Sampling stops when the lowest K are settled: each one's upper bound lies below the lower bounds of all others plus 2 % of
    |v(all) - v(none)|, after at least three rounds. K is `n_lowest`, but at most one less than there are heads. It also stops
    before a round that would exceed `max_passes` at the cost of the last one (the first two always run) and after `max_rounds`;
    then `settings["settled"]` is False. `settings` also holds `rounds`; `epsilon`, the smallest share that would have settled
    them (None if v(all) = v(none)); `n_lowest`, the K used; `v_all`, `v_none`; and `sentence_passes`, forward passes times
    sentences, to compare with about 74 million per language for the published estimator.

    With `truncation`, a walk of a batch ends when |v(S) - v(none)| averaged over its sentences is at most this share of the value
    for S = all. Heads still on count as zero, so values no longer add up.

    Costs 2 forward passes plus about H(L + 1) per round on L layers of H heads: an order and its reverse visit 2LH sets, but each
    step changes the same layer in all sentences of a batch, so the layers below are not computed again. The orders depend on the
    batching, so values vary with it by chance. Holds two hidden states per layer of one batch (four in DistilBERT), and the sums
    of every round and batch. Resuming, also with other limits or K, gives the same numbers.

    Raises:
        SettingError: One round costs more than `max_passes`, or no sentence has a labelled word.
        StoreError: The resume file holds other work, or cannot be written.

    Source: Held and Yang 2023, "Shapley head pruning".
    """
    n, present, truncation = labelled_sentences(batches), head_mask(model), call.options.truncation
    _check_limit(present, call.options.max_passes)
    facts = {"precision": call.precision, "seed": call.seed, "truncation": truncation}
    kept = kept_at(call.resume_file, model, batches, {"method": call.method, **facts})
    began = time.perf_counter()
    known = kept.load()
    walked = _needed(Walked(**known), present, call) if known else _with_ends(model, batches, call, n)
    began -= walked.seconds
    sizes = [len(batch.sentences) for batch in batches]
    ends = np.split(np.stack((walked.full, walked.none)), np.cumsum(sizes[:-1]), axis=1)
    with saving(kept, lambda: {**vars(walked), "sums": np.reshape(walked.sums, (-1, *present.keep.shape))}) as step:
        while (estimate := _finished(walked, present, call)) is None:
            number, done = divmod(len(walked.sums), len(batches))
            with (
                data_pass(model, batches, call, done=done, what=f"shapley, round {number + 1}") as given,
                torch.inference_mode(),
            ):
                for place, batch in enumerate(given, start=done):
                    order = random_order(present, sizes[place], np.random.default_rng((call.seed, number, place)))
                    (there, cost), (back, cost_back) = (
                        walk(model, batch, way, ends[place], present, precision=call.precision, truncation=truncation)
                        for way in (order, order.reversed())
                    )
                    walked = replace(
                        walked,
                        sums=(*walked.sums, (there + back) / 2),
                        costs=(*walked.costs, cost + cost_back),
                        seconds=time.perf_counter() - began,
                    )
                    step()
    by_batch = 2 + np.reshape(walked.costs, (walked.rounds, -1)).sum(axis=0)
    return HeadScores(
        values=estimate.values,
        method=call.method,
        total=estimate.values * n,
        low=estimate.low,
        high=estimate.high,
        n=n,
        seconds=walked.seconds,
        forward_passes=walked.passes,
        settings={
            **facts,
            "rounds": walked.rounds,
            "n_lowest": estimate.n_lowest,
            "settled": estimate.settled,
            "epsilon": estimate.epsilon,
            "v_all": estimate.v_all,
            "v_none": estimate.v_none,
            "sentence_passes": float(by_batch @ sizes),
        },
    )


def _check_limit(present: HeadMask, max_passes: float | None) -> None:
    cost = 2 * expected_cost(present)
    if max_passes is not None and max_passes < 2 + cost:
        raise SettingError(
            f"max_passes {max_passes:g}: on this model a round of shapley takes about {cost:.0f} forward passes, after 2 "
            f"for all heads and none; allow at least {2 + 3 * cost:.0f} for three rounds, or omit max_passes"
        )


def _needed(walked: Walked, present: HeadMask, call: Call) -> Walked:
    """Saved walks up to the round at which these limits stop, so that resuming never changes the outcome."""
    for n_rounds in range(_FEWEST_ROUNDS, walked.rounds + 1):
        end = n_rounds * walked.n_batches
        part = replace(walked, sums=walked.sums[:end], costs=walked.costs[:end])
        if _finished(part, present, call) is not None:
            return part
    return walked


def _with_ends(model: PreTrainedModel, batches: Sequence[Batch], call: Call, n: int) -> Walked:
    with data_pass(model, batches, call, what="shapley, all heads and none") as given, torch.inference_mode():
        full, none = np.concatenate([find_ends(model, batch, call.precision) for batch in given], axis=1)
    return Walked(full, none, n, len(batches))


def _finished(walked: Walked, present: HeadMask, call: Call) -> Estimate | None:
    """The estimate, if this was the end of the last round."""
    n_batches, limit = walked.n_batches, call.options.max_passes
    if walked.rounds < _FEWEST_ROUNDS or len(walked.sums) % n_batches:
        return None
    estimate = estimate_of(walked, present, seed=call.seed, n_lowest=call.options.n_lowest)
    last = sum(walked.costs[-n_batches:]) / n_batches
    stop = walked.rounds >= call.options.max_rounds or (limit is not None and walked.passes + last > limit)
    return estimate if stop or estimate.settled else None
