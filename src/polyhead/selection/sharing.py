"""Which heads languages share and which serve one alone, judged over replicates: seeds, or resamples of the sentences."""

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
    """The heads at one end of the languages' rankings, by how many languages have them there.

    Every head that all replicates have stands in exactly one of `shared`, `specific`, `nowhere` and `unsettled`.

    Attributes:
        end: `highest` (the k most important) or `lowest` (the k least important, the first to be pruned).
        frequency: By language `[layers, heads]`: the share of its replicates in which a head is among the k; NaN for a head that
            a replicate lacks.
        shared: Heads among the k in at least `share` of the replicates of every language.
        specific: By language: heads among the k in at least `share` of its replicates, and in at most 1 − `share` of those of
            every other language.
        nowhere: Heads among the k in at most 1 − `share` of the replicates of every language.
        unsettled: The rest: heads of some languages but not all, and heads whose place differs between replicates.
        within: By language: mean overlap (0..1) of the k between two replicates of it; NaN if it has one.
        between: By pair of languages: mean overlap of the k between a replicate of each, all pairs. Languages differ where this
            lies below what the two have within; where a replicate of each is of one fine-tuned model, such pairs raise it.
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
    """What languages share at both ends, with the k and the share that it was judged by."""

    highest: EndSharing
    lowest: EndSharing
    k: int
    share: float
    n_heads: int


def bootstrap_scores(contributions: Array, *, draws: int, seed: int) -> Array:
    """Score matrices under resampling of sentences: `[draws, layers, heads]`, each a mean of absolute contributions.

    Such replicates say how far a ranking depends on which sentences were scored; they say nothing of other seeds.

    Args:
        contributions: `[sentences, layers, heads]`, each sentence's own, of either sign; NaN for a head that is gone.
        draws: How many resamples, each of as many sentences, with replacement.
        seed: Of the resamples.

    Raises:
        SettingError: There is no sentence, no draw, or another number of dimensions.
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
    """Which heads are among the k most, and among the k least, important ones of all languages, of one alone, or of none.

    With one replicate a language every frequency is 0 or 1, and what looks specific may be chance: compare `within` (NaN then)
    with `between`. Replicates that are resamples of sentences rule out chance in the sentences only, seeds that of training.

    Args:
        replicates: By language scores `[replicates, layers, heads]`, higher = more important; the number of replicates may
            differ. Heads that are NaN in any replicate are left out everywhere.
        k: Heads at either end; ties go by address.
        share: Of a language's replicates that must agree; above a half.

    Raises:
        SettingError: Fewer than two languages, shapes that differ, no replicates, or k or `share` out of range.
    """
    matrices = {language: np.asarray(scores, dtype=np.float64) for language, scores in replicates.items()}
    present = _present(matrices)
    n_heads = int(present.sum())
    if not 1 <= k <= n_heads:
        raise SettingError(f"k = {k}: expected 1 to {n_heads}, the heads that all replicates have")
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
    """Which heads are among the k at one end: `[replicates, heads present]` of the same shape."""
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
    """One end, from which heads are among the k: by language `[replicates, heads present]`."""
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
    """Mean over pairs of replicates of the share of the k that both have; from how many replicates hold each head."""
    n, held = len(there), there.sum(axis=0)
    return float((held * (held - 1)).sum() / (n * (n - 1) * k)) if n > 1 else nan
