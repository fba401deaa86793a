"""Heads shared by languages and heads specific to one, over replicates: seeds, or resamples of the sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, compress
from math import nan
from typing import Final

import numpy as np
from numpy.typing import NDArray

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.selection.rank_figures import at_ends

Array = NDArray[np.float64]
Booleans = NDArray[np.bool_]
# Frequencies are fractions of replicates; 1 - 0.9 must not exclude a head found in one of ten.
_SLACK: Final = 1e-9


@dataclass(frozen=True, eq=False)
class EndSharing:
    """The heads at one end of the rankings, by the languages that have them there.

    Every head that all replicates have is in exactly one of `shared`, `specific`, `nowhere` and `unsettled`.

    Attributes:
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

    frequency: Mapping[str, Array]
    shared: tuple[HeadId, ...]
    specific: Mapping[str, tuple[HeadId, ...]]
    nowhere: tuple[HeadId, ...]
    unsettled: tuple[HeadId, ...]
    within: Mapping[str, float]
    between: Mapping[tuple[str, str], float]


@dataclass(frozen=True, eq=False)
class Sharing:
    """Sharing among the k most important (`highest`) and the k least important heads (`lowest`, pruned first)."""

    highest: EndSharing
    lowest: EndSharing
    share: float
    n_heads: int


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
    ends = {language: at_ends(scores[:, present], k) for language, scores in matrices.items()}
    lowest, highest = (_end_sharing({language: own[end] for language, own in ends.items()}, present, k, share) for end in (0, 1))
    return Sharing(highest, lowest, share, n_heads)


def _present(matrices: Mapping[str, Array]) -> Booleans:
    """Heads that every replicate of every language has, `[layers, heads]`."""
    shapes = {scores.shape[1:] for scores in matrices.values()}
    if len(matrices) < 2 or len(shapes) != 1 or any(scores.ndim != 3 or len(scores) == 0 for scores in matrices.values()):
        found = ", ".join(f"{language} {scores.shape}" for language, scores in matrices.items()) or "none"
        raise SettingError(f"replicates by language: {found}: expected two or more languages, [replicates, layers, heads] each")
    present: Booleans = ~np.any([np.isnan(scores).any(axis=0) for scores in matrices.values()], axis=0)
    return present


def _end_sharing(chosen: Mapping[str, Booleans], present: Booleans, k: int, share: float) -> EndSharing:
    """One end, from whether each head is among the k: by language `[replicates, heads present]`."""
    rates = np.stack([there.mean(axis=0) for there in chosen.values()])  # [languages, heads present]
    often, seldom = rates >= share - _SLACK, rates <= 1 - share + _SLACK
    specific = {language: often[i] & np.delete(seldom, i, axis=0).all(axis=0) for i, language in enumerate(chosen)}
    shared, nowhere = np.logical_and.reduce(often), np.logical_and.reduce(seldom)
    unsettled = ~(shared | nowhere | np.any(list(specific.values()), axis=0))
    addresses = HeadMask(present).kept

    def named(is_in: Booleans) -> tuple[HeadId, ...]:
        return tuple(compress(addresses, is_in))

    frequency = np.full((len(chosen), *present.shape), nan)
    frequency[:, present] = rates
    return EndSharing(
        frequency=dict(zip(chosen, frequency, strict=True)),
        shared=named(shared),
        specific={language: named(is_in) for language, is_in in specific.items()},
        nowhere=named(nowhere),
        unsettled=named(unsettled),
        within={language: _mean_overlap(there, k) for language, there in chosen.items()},
        between={(one, other): float(rates[i] @ rates[j]) / k for (i, one), (j, other) in combinations(enumerate(chosen), 2)},
    )


def _mean_overlap(there: Booleans, k: int) -> float:
    """Mean overlap of the k over pairs of replicates, from the number of replicates with each head."""
    n, held = len(there), there.sum(axis=0)
    return float((held * (held - 1)).sum() / (n * (n - 1) * k)) if n > 1 else nan
