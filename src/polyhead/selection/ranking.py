"""From scores to an order of heads, and from an order to masks."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadMask, HeadScores, Normalisation, normalise


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


def prune_lowest(
    scores: HeadScores,
    n_pruned: int,
    *,
    present: HeadMask | None = None,
    min_per_layer: int = 0,
    normalisation: Normalisation = "none",
) -> HeadMask:
    """The mask that drops the `n_pruned` least important heads, besides those that the model no longer has.

    Args:
        scores: NaN for heads that were gone when they were made.
        n_pruned: How many of the others to drop.
        present: The heads that the model has now, from `head_mask`; None takes those with a score.
        min_per_layer: Heads that every layer keeps.
        normalisation: See `polyhead.core.heads.normalise`.

    Raises:
        SettingError: Not so many heads can go (see `masks_for`), or the scores are not for the model that has `present`.

    >>> prune_lowest(HeadScores(np.array([[3.0, 1.0], [2.0, 4.0]]), "gradient"), 1).pruned
    (HeadId(layer=0, head=1),)
    """
    shape = (scores.n_layers, scores.n_heads)
    scored = HeadMask(~np.isnan(scores.values))
    if present is None:
        present = scored
    if unscored := (HeadMask(~scored.keep) & present).kept:
        raise SettingError(f"scores: none for head {unscored[0]}, which the model has ({len(unscored)} such); score this model")
    ranking = rank(np.where(present.keep, scores.values, np.nan), normalisation=normalisation)
    return masks_for(ranking, [n_pruned], shape, min_per_layer=min_per_layer, gone=present.pruned)[0]


def keep_top(scores: HeadScores, n_kept: int, *, min_per_layer: int = 0, normalisation: Normalisation = "none") -> HeadMask:
    """The mask that keeps the `n_kept` most important heads.

    Raises:
        SettingError: The model has fewer heads, or the layers' minimum asks for more; see `masks_for`.
    """
    n_present = int((~np.isnan(scores.values)).sum())
    if not 0 <= n_kept <= n_present:
        raise SettingError(f"{n_kept} heads to keep: the model has {n_present}")
    return prune_lowest(scores, n_present - n_kept, min_per_layer=min_per_layer, normalisation=normalisation)
