"""Ranking until the lowest heads are settled, against a full pass over all of UD English-EWT dev, on a fine-tuned encoder."""

import time
from collections.abc import Sequence

import numpy as np
from environment import median
from numpy.typing import NDArray
from scipy.stats import spearmanr
from transformers import PreTrainedModel

from polyhead.importance.gate_pass import sentence_gradients
from polyhead.importance.methods import score_heads
from polyhead.importance.settling import most_that_differ, reading_plan, stratified_mean
from polyhead.importance.until_settled import score_until_settled
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoded import Encoded
from polyhead.models.devices import Precision

LOWEST = (12, 36, 72)
MAY_DIFFER, NEAR_TIE = 0.05, 0.02


def early_stops(
    model: PreTrainedModel, encoded: Encoded, precision: Precision, seeds: Sequence[int], lowest: Sequence[int]
) -> dict[str, object]:
    """A full pass in every round, and beside it an early stop for each K; agreement, passes and seconds."""
    rows: dict[int, list[dict[str, float]]] = {k: [] for k in lowest}
    full: list[float] = []
    for seed in seeds:
        started = time.perf_counter()
        whole = score_heads("gradient", model, scoring_batches(encoded), precision=precision).values.ravel()
        full.append(time.perf_counter() - started)
        for k in lowest:
            started = time.perf_counter()
            found = score_until_settled(
                "gradient", model, encoded, n_lowest=k, may_differ=MAY_DIFFER, near_tie=NEAR_TIE, seed=seed, precision=precision
            )
            taken, values = time.perf_counter() - started, found.values.ravel()
            same = np.intersect1d(np.argsort(values, kind="stable")[:k], np.argsort(whole, kind="stable")[:k])
            rows[k].append(
                {
                    "seconds": taken,
                    "passes": found.forward_passes,
                    "sentences_read": found.n,
                    "differ_at_most": float(str(found.settings["differ_at_most"])),
                    "of_lowest": len(same),
                    "spearman": float(spearmanr(values, whole).statistic),
                    "saved": full[-1] / taken,
                }
            )
    table = {
        str(k): {"runs": own, "median": {name: median([run[name] for run in own]) for name in own[0]}} for k, own in rows.items()
    }
    return {"sentences": encoded.n_sentences, "full_seconds": full, "median_full_seconds": median(full), "lowest": table}


def rates(
    model: PreTrainedModel, encoded: Encoded, precision: Precision, orders: int, lowest: Sequence[int]
) -> dict[str, dict[str, float]]:
    """How often the bound was broken at any look, and reading stopped wrongly, over many orders of the same sentences."""
    batches = scoring_batches(encoded)
    gradients = sentence_gradients(model, batches, precision=precision)
    values = np.abs(gradients).reshape(len(gradients), -1)
    tokens = _tokens(encoded)
    found = {}
    for k in lowest:
        runs = np.array([_one_order(values, tokens, k, seed) for seed in range(orders)])
        names = ("broken_at_any_look", "stopped_wrongly", "tokens_read", "differing")
        found[str(k)] = {"orders": orders, **dict(zip(names, runs.mean(axis=0).tolist(), strict=True))}
    return found


def _one_order(values: NDArray[np.float64], tokens: NDArray[np.int64], k: int, seed: int) -> tuple[float, float, float, float]:
    plan, whole = reading_plan(tokens, seed=seed), values.mean(axis=0)
    sizes, order = np.bincount(plan.strata), np.argsort(whole, kind="stable")
    border = NEAR_TIE * whole[order[k - 1 : k + 1]].mean()
    broken, stopped = False, (0.0, 1.0, 0.0)
    for look in range(1, plan.n_looks + 1):
        read = np.sort(np.concatenate(plan.parts[:look]))
        own, strata = values[read], plan.strata[read]
        bound = most_that_differ(own, strata, sizes, n_lowest=k, near_tie=NEAR_TIE, looks=plan.n_looks, seed=(seed, look))
        lowest = np.argsort(stratified_mean(own, strata, sizes), kind="stable")[:k]
        wrong, missing = whole[np.setdiff1d(lowest, order[:k])], whole[np.setdiff1d(order[:k], lowest)]
        truth = int((np.sort(wrong)[::-1] - np.sort(missing) > border).sum())
        broken |= truth > bound
        if bound <= int(MAY_DIFFER * k) and stopped[1] == 1.0:
            stopped = (float(truth > int(MAY_DIFFER * k)), float(tokens[read].sum() / tokens.sum()), float(len(wrong)))
    return (float(broken), *stopped)


def _tokens(encoded: Encoded) -> NDArray[np.int64]:
    """Tokens of every sentence with a labelled word."""
    lengths, labelled = np.zeros(encoded.n_sentences, dtype=np.int64), np.zeros(encoded.n_sentences, dtype=np.bool_)
    for window in encoded.windows:
        lengths[window.sentence] += len(window.input_ids)
        labelled[window.sentence] |= bool((window.label_ids >= 0).any())
    return lengths[labelled]
