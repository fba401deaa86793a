"""Shapley values of heads: mean contribution over random removal orders (Held and Yang 2023)."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask, HeadScores
from polyhead.core.progress import Progress, Silent
from polyhead.importance.gate_pass import require_labelled
from polyhead.importance.shapley_estimate import Estimate, Walked, estimate_of
from polyhead.importance.shapley_walks import Ends, expected_cost, find_ends, random_order, walk
from polyhead.learning.batching import Batch
from polyhead.learning.resumable import Partial, kept_at, saving
from polyhead.learning.scoring_mode import scoring_mode
from polyhead.models.architectures import head_mask
from polyhead.models.devices import Precision, pick_precision

_FEWEST_ROUNDS = 2


@dataclass(frozen=True, kw_only=True)
class ShapleyOptions:
    """Options of `shapley`."""

    n_lowest: Annotated[int, Field(ge=1, description="lowest heads to settle: as many as you plan to prune")] = 12
    max_passes: Annotated[float | None, Field(gt=0, description="most forward passes over the data")] = None
    max_rounds: Annotated[int, Field(ge=2, description="most rounds")] = 64
    truncation: Annotated[float, Field(ge=0, lt=1, description="share of the total effect at which a walk ends early")] = 0.0


@dataclass(frozen=True)
class _Plan:
    model: PreTrainedModel
    batches: Sequence[Batch]
    present: HeadMask
    seed: int
    truncation: float
    precision: Precision


@dataclass(frozen=True)
class _Limits:
    n_lowest: int
    max_passes: float
    max_rounds: int


def shapley(
    model: PreTrainedModel,
    batches: Sequence[Batch],
    *,
    seed: int = 42,
    n_lowest: int = 12,
    max_passes: float | None = None,
    max_rounds: int = 64,
    truncation: float = 0.0,
    precision: Precision | Literal["auto"] = "auto",
    progress: Progress | None = None,
    resume_file: Path | None = None,
) -> HeadScores:
    """Importance `[layers, heads]`: the mean of v(S with the head) - v(S) over random orders, S being the heads still on.

    v(S) is minus the mean loss over sentences with the heads outside S off. Values are signed and, without truncation, add up to
    v(all) - v(none). Every sentence has its own random orders, each walked in both directions, from all heads to none. `low` and
    `high` bound the 95 % interval over random orders for these sentences, not over other sentences; it is somewhat too narrow
    after few rounds of few batches.

    Sampling stops when the lowest K are settled: each one's upper bound lies below the lower bounds of all others plus 2 % of
    |v(all) - v(none)|, after at least three rounds. It also stops at either limit, and then `settings["settled"]` is False.
    `settings` also holds `rounds`; `epsilon`, the smallest share that would have settled them (None if v(all) = v(none));
    `n_lowest`, the K used; `v_all`, `v_none`; and `sentence_passes`, forward passes times sentences, to compare with about 74
    million per language for the published estimator.

    Costs 2 forward passes plus about H(L + 1) per round on L layers of H heads: an order and its reverse visit 2LH sets, but each
    step changes the same layer in all sentences of a batch, so the layers below are not computed again. The orders depend on the
    batching, so values vary with it by chance. Holds two hidden states per layer of one batch (four in DistilBERT), and the sums
    of every round and batch. The model is unchanged afterwards.

    Args:
        model: A token classifier, pruned or not, on the device of choice.
        batches: From `scoring_batches`.
        seed: Random seed of the orders and the intervals.
        n_lowest: K, how many of the lowest heads to settle; at most one less than there are heads.
        max_passes: No round starts that would exceed this at the cost of the last one; the first two always run.
        max_rounds: Most rounds, at least 2.
        truncation: A walk of a batch ends when |v(S) - v(none)| averaged over its sentences is at most this share of the value
            for S = all. Heads still on count as zero, so values no longer add up. 0 walks to the end.
        precision: Precision of matrix products; losses stay float32. `auto`: bf16 where the device supports it.
        progress: Updated after every batch of every round.
        resume_file: File for partial results. A second call with the same arguments (`n_lowest` and the limits may differ)
            continues from there and gives the same numbers. The caller removes it.

    Raises:
        SettingError: A setting is out of its range, one round costs more than `max_passes`, or no sentence has a labelled word.
        StoreError: The file cannot be written.

    Source: Held and Yang 2023, "Shapley head pruning".
    """
    present = head_mask(model)
    chosen = pick_precision(precision, next(model.parameters()).device)
    plan = _Plan(model, batches, present, seed, truncation, chosen)
    limits = _Limits(min(n_lowest, max(present.n_kept - 1, 0)), np.inf if max_passes is None else max_passes, max_rounds)
    _check(plan, limits, n_lowest)
    partial = kept_at(
        resume_file, model, batches, {"method": "shapley", "seed": seed, "truncation": truncation, "precision": chosen}
    )
    watch = progress or Silent()
    try:
        with scoring_mode(model, chosen), torch.inference_mode():
            walked, estimate = _run(plan, limits, partial, watch)
    finally:
        watch.stop()
    sizes = [len(batch.sentences) for batch in batches]
    by_batch = 2 + np.reshape(walked.costs, (walked.rounds, -1)).sum(axis=0)
    return HeadScores(
        values=estimate.values,
        method="shapley",
        total=estimate.values * walked.n,
        low=estimate.low,
        high=estimate.high,
        n=walked.n,
        seconds=walked.seconds,
        forward_passes=walked.passes,
        settings={
            "precision": chosen,
            "seed": seed,
            "truncation": truncation,
            "rounds": walked.rounds,
            "n_lowest": limits.n_lowest,
            "settled": estimate.settled,
            "epsilon": estimate.epsilon,
            "v_all": estimate.v_all,
            "v_none": estimate.v_none,
            "sentence_passes": float(by_batch @ sizes),
        },
    )


def _check(plan: _Plan, limits: _Limits, n_lowest: int) -> None:
    if n_lowest < 1:
        raise SettingError(f"n_lowest {n_lowest}: expected at least 1 head to settle")
    if limits.max_rounds < _FEWEST_ROUNDS:
        raise SettingError(f"max_rounds {limits.max_rounds}: expected at least {_FEWEST_ROUNDS}, which intervals need")
    if not 0 <= plan.truncation < 1:
        raise SettingError(f"truncation {plan.truncation}: expected a share from 0 (walk to the end) to below 1")
    if plan.seed < 0:
        raise SettingError(f"seed {plan.seed}: expected a whole number from 0")
    cost = 2 * expected_cost(plan.present)
    if limits.max_passes < 2 + cost:
        raise SettingError(
            f"max_passes {limits.max_passes:g}: on this model a round of shapley takes about {cost:.0f} forward passes, after 2 "
            f"for all heads and none; allow at least {2 + 3 * cost:.0f} for three rounds, or omit max_passes"
        )


def _run(plan: _Plan, limits: _Limits, partial: Partial, watch: Progress) -> tuple[Walked, Estimate]:
    known = partial.load()
    began = time.perf_counter()
    walked = _with_ends(plan, watch) if known is None else _needed(Walked(**known), plan, limits)
    require_labelled(walked.n)
    began -= walked.seconds
    shown = -1
    with saving(partial, lambda: {**vars(walked), "sums": np.reshape(walked.sums, (-1, *plan.present.keep.shape))}) as step:
        while (estimate := _finished(walked, plan, limits)) is None:
            if walked.rounds != shown:
                shown = walked.rounds
                watch.start(len(plan.batches), f"shapley, round {shown + 1}")
                if taken_up := len(walked.sums) % len(plan.batches):
                    watch.advance(taken_up)
            sums, cost = _round_of_batch(plan, walked)
            done = time.perf_counter() - began
            walked = replace(walked, sums=(*walked.sums, sums), costs=(*walked.costs, cost), seconds=done)
            step()
            watch.advance(1)
    return walked, estimate


def _needed(walked: Walked, plan: _Plan, limits: _Limits) -> Walked:
    """Saved walks up to the round at which these limits stop, so that resuming never changes the outcome."""
    for n_rounds in range(_FEWEST_ROUNDS, walked.rounds + 1):
        n = n_rounds * walked.n_batches
        part = replace(walked, sums=walked.sums[:n], costs=walked.costs[:n])
        if _finished(part, plan, limits) is not None:
            return part
    return walked


def _with_ends(plan: _Plan, watch: Progress) -> Walked:
    device = next(plan.model.parameters()).device
    found: list[Ends] = []
    watch.start(len(plan.batches), "shapley, all heads and none")
    for batch in plan.batches:
        found.append(find_ends(plan.model, batch.to(device), plan.precision))
        watch.advance(1)
    full, none = (np.concatenate([np.zeros(0), *losses]) for losses in ([e.full for e in found], [e.none for e in found]))
    labelled = np.concatenate([np.zeros(0, dtype=np.bool_), *(ends.labelled for ends in found)])
    return Walked(full, none, labelled, len(found))


def _round_of_batch(plan: _Plan, walked: Walked) -> tuple[NDArray[np.float64], float]:
    """The next batch's sums over sentences, averaged over an order and its reverse, and the passes for both."""
    number, place = divmod(len(walked.sums), len(plan.batches))
    batch, first = plan.batches[place], sum(len(before.sentences) for before in plan.batches[:place])
    own = slice(first, first + len(batch.sentences))
    ends = Ends(walked.full[own], walked.none[own], walked.labelled[own])
    order = random_order(plan.present, len(batch.sentences), np.random.default_rng((plan.seed, number, place)))
    here = batch.to(next(plan.model.parameters()).device)
    (there, cost), (back, cost_back) = (
        walk(plan.model, here, way, ends, plan.present, precision=plan.precision, truncation=plan.truncation)
        for way in (order, order.reversed())
    )
    return (there + back) / 2, cost + cost_back


def _finished(walked: Walked, plan: _Plan, limits: _Limits) -> Estimate | None:
    """The estimate, if this was the end of the last round."""
    n_batches = walked.n_batches
    if walked.rounds < _FEWEST_ROUNDS or len(walked.sums) % n_batches:
        return None
    estimate = estimate_of(walked, plan.present, seed=plan.seed, n_lowest=limits.n_lowest)
    last = sum(walked.costs[-n_batches:]) / n_batches
    stop = walked.rounds >= limits.max_rounds or walked.passes + last > limits.max_passes
    return estimate if stop or estimate.settled else None
