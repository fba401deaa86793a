"""Scores of several languages combined into one, and how well other languages predict a language's scores."""

from collections.abc import Callable, Mapping, Sequence
from math import nan
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores, Normalisation, normalise
from polyhead.selection.agreement import Agreement, agreement

Array = NDArray[np.float64]
Combination = Literal["merged", "summed", "each", "mean-rank", "worst-case", "regret"]


def combine(scores: Sequence[HeadScores], how: Combination, *, normalisation: Normalisation = "none") -> tuple[HeadScores, ...]:
    """Scores of several sources combined for ranking; the result is already normalised (rank it with `none`).

    A head that any source lacks (NaN) is NaN in the result; ranks are among the heads that all sources have. Only `each` gives
    more than one result. `merged` and `summed` add up numbers, so a source with larger gradients counts more; `mean-rank` and
    `worst-case` use only each source's order; `regret` uses each source's scores as shares of their sum.

    Args:
        scores: One matrix per source, of one method and one shape.
        how: `merged` divides the sum of the totals by the sum of `n` and normalises once (as if all data had been scored in one
            pass); `summed` adds the normalised matrices; `each` returns every source's normalised matrix, so that a search can
            try each and keep the best; `mean-rank` is the mean rank over sources, see `mean_ranks`; `worst-case` prunes a head
            early only if no source ranks it high, see `worst_ranks`; `regret` is the place in an order that keeps the largest
            loss of any source small at every k, see `regret_places`.
        normalisation: Applied once to the merged matrix, or to every source's matrix first.

    Raises:
        SettingError: Nothing to combine, shapes or methods differ, `how` is unknown, or `merged` without totals.

    Source: Ma et al. 2021 for `merged`, `summed` and `each`.
    """
    _check(scores)
    if how == "merged":
        total, n = _totals(scores)
        return (_combined(scores, normalise(total / n, normalisation), how, normalisation, total=total),)
    matrices = np.stack([normalise(item.values, normalisation) for item in scores])
    if how == "each":
        return tuple(
            _combined([item], values, how, normalisation, total=item.total) for item, values in zip(scores, matrices, strict=True)
        )
    if how not in _ONE_FROM_MANY:
        raise SettingError(f"combination {how!r}: expected merged, summed, each, mean-rank, worst-case or regret")
    # ranks are not totals, so they must not be merged later
    total_left = scores[0].total if how == "summed" and len(scores) == 1 else None
    matrices[:, np.isnan(matrices).any(axis=0)] = nan
    return (_combined(scores, _ONE_FROM_MANY[how](matrices), how, normalisation, total=total_left),)


def ranks(values: Array) -> Array:
    """Rank of every head among the heads present, 1 = least important, ties averaged; shape kept, NaN stays NaN.

    >>> ranks(np.array([[0.5, np.nan], [0.1, 0.5]])).tolist()
    [[2.5, nan], [1.0, 2.5]]
    """
    found, present = np.full(values.shape, nan), ~np.isnan(values)
    found[present] = stats.rankdata(values[present])
    return found


def mean_ranks(matrices: Array) -> Array:
    """Mean rank over sources among the heads present: `[sources, layers, heads]` → `[layers, heads]`."""
    return np.asarray(np.mean([ranks(values) for values in matrices], axis=0))


def worst_ranks(matrices: Array) -> Array:
    """Largest rank over sources, ties broken by the mean rank: `[sources, layers, heads]` → `[layers, heads]`.

    The value is largest rank + mean rank / (2 (n + 1)) with n heads. Averaged ties make ranks multiples of a half, and the second
    term stays below a half, so it only breaks ties. Heads that no source ranks high are pruned first.
    """
    by_source = np.stack([ranks(values) for values in matrices])
    n_present = int((~np.isnan(matrices[0])).sum())
    return np.asarray(by_source.max(axis=0) + by_source.mean(axis=0) / (2 * (n_present + 1)))


def regret_places(matrices: Array) -> Array:
    """Place (1 = pruned first) in a greedy minimax order: `[sources, layers, heads]`, NaN in all or none → `[layers, heads]`.

    A source's regret at k is the importance lost with the k heads pruned, minus what its own k lowest heads would lose, as a
    share of the sum of its absolute scores (0 if that sum is 0). Each step prunes the head that minimises the largest regret
    over sources; ties are broken by address. Steps are never undone, so the largest regret is not minimal at every k.
    """
    flat = matrices.reshape(len(matrices), -1)
    present = np.flatnonzero(~np.isnan(flat[0]))
    shares = flat[:, present]
    sums = np.abs(shares).sum(axis=1, keepdims=True)
    shares = np.divide(shares, sums, out=np.zeros_like(shares), where=sums > 0)
    own = np.sort(shares, axis=1)
    regret, left, places = np.zeros((len(flat), 1)), np.arange(len(present)), np.full(flat.shape[1], nan)
    for place in range(len(present)):
        # subtract shares first: with one source the difference is then exactly 0 for its own next head
        after = regret + (shares[:, left] - own[:, [place]])
        chosen = int(np.argmin(after.max(axis=0)))
        places[present[left[chosen]]] = place + 1
        regret, left = after[:, [chosen]], np.delete(left, chosen)
    return places.reshape(matrices.shape[1:])


_ONE_FROM_MANY: Final[dict[str, Callable[[Array], Array]]] = {
    "summed": lambda matrices: np.sum(matrices, axis=0),
    "mean-rank": mean_ranks,
    "worst-case": worst_ranks,
    "regret": regret_places,
}


def leave_one_out(
    scores_by_language: Mapping[str, HeadScores],
    how: Combination = "mean-rank",
    *,
    k: int,
    normalisation: Normalisation = "none",
) -> dict[str, Agreement]:
    """For every language, the agreement of its scores with those predicted from the other languages.

    This shows whether the heads of an unseen language can be ranked without its data. The scores should come from one model, or
    from models fine-tuned in the same way. Only heads that all languages have are compared.

    Args:
        scores_by_language: One matrix per language, of one method and one shape.
        how: As in `combine`, except `each`.
        k: Number of heads at either end; two random orders of n heads overlap by k/n.
        normalisation: As in `combine`; the language's own scores are normalised too.

    Raises:
        SettingError: Fewer than two languages, `each`, k out of range, or as in `combine`.
    """
    if len(scores_by_language) < 2 or how == "each":
        named = ", ".join(scores_by_language) or "none"
        raise SettingError(f"leave-one-out, languages {named}, by {how!r}: expected two or more languages, and not 'each'")
    _check(list(scores_by_language.values()))
    found = {}
    for language, scores in scores_by_language.items():
        others = [other for name, other in scores_by_language.items() if name != language]
        predicted = combine(others, how, normalisation=normalisation)[0]
        found[language] = agreement(predicted.values, normalise(scores.values, normalisation), k=k)
    return found


def _check(scores: Sequence[HeadScores]) -> None:
    if not scores:
        raise SettingError("no scores to combine: give those of one source at least")
    shapes, methods = {item.values.shape for item in scores}, {item.title for item in scores}
    if len(shapes) > 1 or len(methods) > 1:
        raise SettingError(
            f"scores of shapes {sorted(shapes)} and methods {sorted(methods)} cannot be combined: both must be equal"
        )


def _totals(scores: Sequence[HeadScores]) -> tuple[Array, int]:
    totals = [item.total for item in scores if item.total is not None]
    n = sum(item.n for item in scores)
    if len(totals) < len(scores) or n == 0:
        raise SettingError(
            f"scores of {scores[0].title!r} cannot be merged, because a file has no totals or no n: use summed or mean-rank"
        )
    return np.sum(totals, axis=0), n


def _combined(
    scores: Sequence[HeadScores],
    values: Array,
    how: Combination,
    normalisation: Normalisation,
    *,
    total: Array | None,
) -> HeadScores:
    n = sum(item.n for item in scores)
    signed = [item.signed * item.n for item in scores if item.signed is not None]
    return HeadScores(
        values,
        scores[0].method,
        signed=np.sum(signed, axis=0) / n if len(signed) == len(scores) and n else None,
        total=total,
        n=n,
        languages=tuple(dict.fromkeys(language for item in scores for language in item.languages)),
        model=", ".join(dict.fromkeys(item.model for item in scores if item.model)),
        data_hash="+".join(item.data_hash for item in scores if item.data_hash),
        seconds=sum(item.seconds for item in scores),
        forward_passes=max(item.forward_passes for item in scores),  # each over its own part of the data
        backward_passes=max(item.backward_passes for item in scores),
        settings={**scores[0].settings, "combined": how, "normalisation": normalisation},
    )
