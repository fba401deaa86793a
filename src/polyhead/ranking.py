"""From scores to an order of heads, from an order to masks, and from several languages' scores to one."""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from polyhead.errors import SettingError
from polyhead.heads import HeadId, HeadMask, HeadScores, Normalisation, normalise

Combination = Literal["merged", "summed", "each"]


def rank(scores: HeadScores | NDArray[np.float64], *, normalisation: Normalisation = "none") -> tuple[HeadId, ...]:
    """Heads from least to most important, the first to go in front; ties stand in order of address, NaN is left out.

    >>> [str(head) for head in rank(np.array([[0.5, np.nan], [0.1, 0.5]]))]
    ['1.0', '0.0', '1.1']
    """
    values = normalise(scores.values if isinstance(scores, HeadScores) else np.asarray(scores, dtype=np.float64), normalisation)
    flat = values.ravel()
    order = np.argsort(flat, kind="stable")
    n_heads = values.shape[1]
    return tuple(HeadId(*divmod(int(place), n_heads)) for place in order if not np.isnan(flat[place]))


def masks_for(
    ranking: Sequence[HeadId],
    ks: Iterable[int],
    shape: tuple[int, int],
    *,
    min_per_layer: int = 0,
    gone: Iterable[HeadId] = (),
) -> tuple[HeadMask, ...]:
    """A mask for every k, in the order of `ks`: the first k heads of `ranking` dropped. For rising k the masks are nested.

    Args:
        ranking: Heads in the order in which they go.
        ks: How many of them go.
        shape: `(layers, heads)` of the unpruned model.
        min_per_layer: Heads that every layer keeps; a head that its layer cannot spare is passed over.
        gone: Heads that the model has lost already: dropped in every mask and not counted in k.

    Raises:
        SettingError: An address is outside `shape`, stands twice, or fewer heads than some k can go.
    """
    base = HeadMask.without(*shape, gone)
    HeadMask.without(*shape, ranking)
    if len(set(ranking)) != len(ranking):
        twice = next(head for head in ranking if list(ranking).count(head) > 1)
        raise SettingError(f"head {twice}: stands more than once in the ranking")
    left = base.keep.sum(axis=1)
    going: list[HeadId] = []
    for head in ranking:
        if base.keep[head.layer, head.head] and left[head.layer] > min_per_layer:
            left[head.layer] -= 1
            going.append(head)
    masks = []
    for k in ks:
        if not 0 <= k <= len(going):
            floor = f" while every layer keeps {min_per_layer}" if min_per_layer else ""
            raise SettingError(f"{k} heads to prune: this ranking lets 0 to {len(going)} go{floor}")
        masks.append(base & HeadMask.without(*shape, going[:k]))
    return tuple(masks)


def prune_lowest(scores: HeadScores, n_pruned: int, *, min_per_layer: int = 0, normalisation: Normalisation = "none") -> HeadMask:
    """The mask that drops the `n_pruned` least important heads, besides those that the model no longer has (NaN).

    Raises:
        SettingError: Not so many heads can go; see `masks_for`.

    >>> prune_lowest(HeadScores(np.array([[3.0, 1.0], [2.0, 4.0]]), "gradient"), 1).pruned
    (HeadId(layer=0, head=1),)
    """
    shape = (scores.n_layers, scores.n_heads)
    gone = HeadMask(~np.isnan(scores.values)).pruned
    ranking = rank(scores, normalisation=normalisation)
    return masks_for(ranking, [n_pruned], shape, min_per_layer=min_per_layer, gone=gone)[0]


def keep_top(scores: HeadScores, n_kept: int, *, min_per_layer: int = 0, normalisation: Normalisation = "none") -> HeadMask:
    """The mask that keeps the `n_kept` most important heads.

    Raises:
        SettingError: The model has fewer heads, or the layers' minimum asks for more; see `masks_for`.
    """
    n_present = int((~np.isnan(scores.values)).sum())
    if not 0 <= n_kept <= n_present:
        raise SettingError(f"{n_kept} heads to keep: the model has {n_present}")
    return prune_lowest(scores, n_present - n_kept, min_per_layer=min_per_layer, normalisation=normalisation)


def combine(scores: Sequence[HeadScores], how: Combination, *, normalisation: Normalisation = "none") -> tuple[HeadScores, ...]:
    """Scores of several sources made into what is to be ranked, their values normalised already (rank them with `none`).

    The three heuristics for several source languages of Ma et al. 2021.

    Args:
        scores: One matrix a source, of one method and one shape.
        how: `merged` divides the sum of the totals by the sum of the units and normalises once (one result, as if all data had
            been scored in one pass); `summed` adds up the normalised matrices (one result); `each` gives every source's own
            matrix, normalised, so that each can be searched with and the best one kept.
        normalisation: Applied once to the merged matrix, or to every source's.

    Raises:
        SettingError: Nothing to combine, shapes or methods differ, `how` is unknown, or a merged method keeps no totals.
    """
    if not scores:
        raise SettingError("no scores to combine: give those of one source at least")
    shapes, methods = {item.values.shape for item in scores}, {item.method for item in scores}
    if len(shapes) > 1 or len(methods) > 1:
        raise SettingError(
            f"scores of shapes {sorted(shapes)} and methods {sorted(methods)} cannot be combined: these must be equal"
        )
    if how == "each":
        return tuple(_renewed([item], normalise(item.values, normalisation), how, normalisation) for item in scores)
    if how == "summed":
        return (_renewed(scores, np.sum([normalise(item.values, normalisation) for item in scores], axis=0), how, normalisation),)
    if how != "merged":
        raise SettingError(f"combination {how!r}: expected merged, summed or each")
    totals = [item.total for item in scores if item.total is not None]
    n = sum(item.n for item in scores)
    if len(totals) < len(scores) or n == 0:
        raise SettingError(f"method {scores[0].method!r} keeps no totals, so its scores cannot be merged: use summed or each")
    total = np.sum(totals, axis=0)
    return (_renewed(scores, normalise(total / n, normalisation), how, normalisation, total=total),)


def _renewed(
    scores: Sequence[HeadScores],
    values: NDArray[np.float64],
    how: Combination,
    normalisation: Normalisation,
    *,
    total: NDArray[np.float64] | None = None,
) -> HeadScores:
    """The sources' facts added up, over new values."""
    n = sum(item.n for item in scores)
    signed = [item.signed * item.n for item in scores if item.signed is not None]
    return HeadScores(
        values,
        scores[0].method,
        signed=np.sum(signed, axis=0) / n if len(signed) == len(scores) and n else None,
        total=scores[0].total if len(scores) == 1 else total,
        n=n,
        languages=tuple(dict.fromkeys(language for item in scores for language in item.languages)),
        model=", ".join(dict.fromkeys(item.model for item in scores if item.model)),
        data_hash="+".join(item.data_hash for item in scores if item.data_hash),
        seconds=sum(item.seconds for item in scores),
        forward_passes=max(item.forward_passes for item in scores),  # each over its own part of the data
        backward_passes=max(item.backward_passes for item in scores),
        settings={**scores[0].settings, "combined": how, "normalisation": normalisation},
    )
