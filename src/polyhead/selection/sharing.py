"""Heads shared by languages and heads specific to one, over replicates: seeds, or resamples of the sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import nan
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId
from polyhead.selection.statistics import resamples

Array = NDArray[np.float64]
Booleans = NDArray[np.bool_]
End = Literal["highest", "lowest"]
ENDS: Final[tuple[End, ...]] = ("highest", "lowest")
# Frequencies are fractions of replicates; 1 - 0.9 must not exclude a head found in one of ten.
_SLACK: Final = 1e-9


@dataclass(frozen=True, eq=False)
class EndSharing:
    """The heads at one end of the rankings, by the languages that have them there.

    Every head that all replicates have is in exactly one of `shared`, `specific`, `nowhere` and `unsettled`.

    Attributes:
        end: `highest` (the k most important) or `lowest` (the k least important, pruned first).
        frequency: By language `[layers, heads]`: share of its replicates with the head among the k; NaN for a head that a
            replicate lacks.
        shared: Heads among the k in at least `share` of the replicates of every language.
        specific: By language: heads among the k in at least `share` of its replicates, and in at most 1 − `share` of those of
            every other language.
        nowhere: Heads among the k in at most 1 − `share` of the replicates of every language.
        unsettled: The rest: heads of several languages but not all, or with different places in different replicates.
        within: By language: mean overlap (0..1) of the k between two of its replicates; NaN if it has one.
        between: By pair of languages: mean overlap of the k over all pairs of one replicate each. Languages differ if this is
            below the overlap within both; pairs from the same fine-tuned model raise it.
    """

    end: End
    frequency: Mapping[str, Array]
    shared: tuple[HeadId, ...]
    specific: Mapping[str, tuple[HeadId, ...]]
    nowhere: tuple[HeadId, ...]
    unsettled: tuple[HeadId, ...]
    within: Mapping[str, float]
    between: Mapping[tuple[str, str], float]


@dataclass(frozen=True, eq=False)
class Sharing:
    """Sharing at both ends, with the `k` and `share` used."""

    highest: EndSharing
    lowest: EndSharing
    k: int
    share: float
    n_heads: int


def bootstrap_scores(contributions: Array, *, draws: int, seed: int) -> Array:
    """Bootstrap score matrices over sentences: `[draws, layers, heads]`, each a mean of absolute contributions.

    Such replicates show how far a ranking depends on the sentences, not on the seed.

    Args:
        contributions: Signed contribution of each sentence, `[sentences, layers, heads]`; NaN for a pruned head.
        draws: Number of resamples, each of as many sentences, with replacement.
        seed: Random seed.

    Raises:
        SettingError: No sentence, no draw, or a wrong number of dimensions.
    """
    sizes = np.abs(np.asarray(contributions, dtype=np.float64))
    if sizes.ndim != 3 or len(sizes) == 0 or draws < 1:
        raise SettingError(
            f"{draws} resamples of contributions of shape {sizes.shape}: expected [sentences, layers, heads] with one or more "
            "sentences, and one or more resamples"
        )
    n = len(sizes)
    flat = np.concatenate([weights @ sizes.reshape(n, -1) for weights in resamples(n, seed=seed, draws=draws)])
    return flat.reshape(draws, *sizes.shape[1:]) / n


def head_sharing(replicates: Mapping[str, Array], *, k: int, share: float = 0.9) -> Sharing:
    """Heads among the k most, and the k least, important of all languages, of only one, or of none.

    With one replicate per language every frequency is 0 or 1 and `within` is NaN, so a head that looks specific may be chance.
    Resamples of sentences rule out only chance in the sentences; seeds rule out chance in training.

    Args:
        replicates: Scores by language, `[replicates, layers, heads]`, higher = more important; the number of replicates may
            differ. Heads that are NaN in any replicate are left out.
        k: Heads at either end; ties are broken by address.
        share: Share of a language's replicates that must agree, above 0.5.

    Raises:
        SettingError: Fewer than two languages, different shapes, no replicates, or k or `share` out of range.
    """
    matrices = {language: np.asarray(scores, dtype=np.float64) for language, scores in replicates.items()}
    present = _present(matrices)
    n_heads = int(present.sum())
    if not 1 <= k <= n_heads:
        raise SettingError(f"k = {k}: expected 1 to {n_heads}, the number of heads in all replicates")
    if not 0.5 < share <= 1:
        raise SettingError(f"share {share}: expected more than 0.5 and at most 1")
    highest, lowest = (
        _end_sharing(
            end, {language: _chosen(scores[:, present], end, k) for language, scores in matrices.items()}, present, k, share
        )
        for end in ENDS
    )
    return Sharing(highest, lowest, k, share, n_heads)


def _chosen(scores: Array, end: End, k: int) -> Booleans:
    """Whether each head is among the k at one end: `[replicates, heads present]`."""
    order = np.argsort(scores, axis=1, kind="stable")
    chosen = np.zeros(scores.shape, dtype=np.bool_)
    np.put_along_axis(chosen, order[:, :k] if end == "lowest" else order[:, -k:], True, axis=1)
    return chosen


def _present(matrices: Mapping[str, Array]) -> Booleans:
    """Heads that every replicate of every language has, `[layers, heads]`."""
    shapes = {scores.shape[1:] for scores in matrices.values()}
    if len(matrices) < 2 or len(shapes) != 1 or any(scores.ndim != 3 or len(scores) == 0 for scores in matrices.values()):
        found = ", ".join(f"{language} {scores.shape}" for language, scores in matrices.items()) or "none"
        raise SettingError(f"replicates by language: {found}: expected two or more languages, [replicates, layers, heads] each")
    present: Booleans = ~np.any([np.isnan(scores).any(axis=0) for scores in matrices.values()], axis=0)
    return present


def _end_sharing(end: End, chosen: Mapping[str, Booleans], present: Booleans, k: int, share: float) -> EndSharing:
    """One end, from whether each head is among the k: by language `[replicates, heads present]`."""
    rates = np.stack([there.mean(axis=0) for there in chosen.values()])  # [languages, heads present]
    often, seldom = rates >= share - _SLACK, rates <= 1 - share + _SLACK
    specific = {language: often[i] & np.delete(seldom, i, axis=0).all(axis=0) for i, language in enumerate(chosen)}
    shared: Booleans = np.all(often, axis=0)
    nowhere: Booleans = np.all(seldom, axis=0)
    unsettled: Booleans = ~(shared | nowhere | np.any(list(specific.values()), axis=0))
    addresses = [HeadId(int(layer), int(head)) for layer, head in np.argwhere(present)]

    def named(is_in: Booleans) -> tuple[HeadId, ...]:
        return tuple(address for address, here in zip(addresses, is_in, strict=True) if here)

    frequency = {language: np.full(present.shape, nan) for language in chosen}
    for language, rate in zip(chosen, rates, strict=True):
        frequency[language][present] = rate
    between = {(one, other): float(rates[i] @ rates[j]) / k for (i, one), (j, other) in combinations(enumerate(chosen), 2)}
    return EndSharing(
        end=end,
        frequency=frequency,
        shared=named(shared),
        specific={language: named(is_in) for language, is_in in specific.items()},
        nowhere=named(nowhere),
        unsettled=named(unsettled),
        within={language: _mean_overlap(there, k) for language, there in chosen.items()},
        between=between,
    )


def _mean_overlap(there: Booleans, k: int) -> float:
    """Mean overlap of the k over pairs of replicates, from the number of replicates with each head."""
    n, held = len(there), there.sum(axis=0)
    return float((held * (held - 1)).sum() / (n * (n - 1) * k)) if n > 1 else nan
