"""From scores to an order of heads, and from an order to masks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from numbers import Integral
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from polyhead.core.arguments import require
from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadMask, HeadScores, Normalisation, normalise
from polyhead.core.specs import SearchSpec


def rank(scores: HeadScores | NDArray[np.float64], *, normalisation: Normalisation = "none") -> tuple[HeadId, ...]:
    """Heads from least to most important, in pruning order; ties are ordered by address, NaN is left out.

    >>> [str(head) for head in rank(np.array([[0.5, np.nan], [0.1, 0.5]]))]
    ['1.0', '0.0', '1.1']
    """
    require(scores=(scores, HeadScores | np.ndarray))
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
    group: int = 1,
) -> tuple[HeadMask, ...]:
    """A mask for every k, in the order of `ks`, without the first k heads of `ranking`. For rising k the masks are nested.

    Heads that share a key go together, in the order of their mean place in the ranking; then a mask is without k heads at most.

    Args:
        ranking: Heads in pruning order.
        ks: Numbers of heads to prune.
        shape: `(layers, heads)` of the unpruned model.
        min_per_layer: Heads that every layer keeps; a head that its layer needs for this is skipped.
        gone: Heads pruned earlier: missing in every mask and not counted in k.
        group: Neighbouring heads that share a key.

    Raises:
        SettingError: An address is outside `shape` or a duplicate, or fewer heads than some k can be pruned.
    """
    base = HeadMask.without(*shape, gone)
    HeadMask.without(*shape, ranking)
    if len(set(ranking)) != len(ranking):
        twice = next(head for head in ranking if list(ranking).count(head) > 1)
        raise SettingError(f"head {twice} is in the ranking more than once")
    left = base.keep.sum(axis=1)
    prunable: list[HeadId] = []
    ends = [0]  # numbers of heads that can be pruned
    for together in _sharing(ranking, base, group):
        layer = together[0].layer
        if left[layer] - len(together) >= min_per_layer:
            left[layer] -= len(together)
            prunable += together
            ends.append(len(prunable))
    masks = []
    for k in ks:
        if isinstance(k, bool) or not isinstance(k, int | np.integer):
            raise SettingError(f"{k!r} heads to prune: expected a whole number")
        if not 0 <= k <= len(prunable):
            floor = f" if every layer keeps {min_per_layer}" if min_per_layer else ""
            raise SettingError(f"{k} heads to prune: expected 0 to {len(prunable)} with this ranking{floor}")
        masks.append(base & HeadMask.without(*shape, prunable[: max(end for end in ends if end <= k)]))
    return tuple(masks)


def _sharing(ranking: Sequence[HeadId], base: HeadMask, group: int) -> Iterator[list[HeadId]]:
    """Heads that can only be pruned together, in pruning order; those whose whole group is not ranked are left out."""
    places: dict[tuple[int, int], list[int]] = {}
    for place, head in enumerate(ranking):
        if base.keep[head.layer, head.head]:
            places.setdefault((head.layer, head.head // group), []).append(place)
    for layer, key in sorted(places, key=lambda own: fmean(places[own])):
        if len(places[layer, key]) == base.keep[layer, key * group : (key + 1) * group].sum():
            yield [ranking[place] for place in places[layer, key]]


def check_search(search: SearchSpec, present: HeadMask) -> None:
    """Return if a search can prune as many heads as it may of those that a model has.

    Raises:
        SettingError: It cannot.
    """
    try:
        floor, gone = search.min_per_layer, present.pruned
        masks_for(present.kept, [search.max_pruned], present.shape, min_per_layer=floor, gone=gone, group=present.group)
    except SettingError as error:
        raise SettingError(f"max_pruned {search.max_pruned}, min_per_layer {search.min_per_layer}: {error}") from None


def prune_nested(order: Sequence[str], n_pruned: int, *, present: HeadMask, min_per_layer: int = 0) -> HeadMask:
    """The mask without the first `n_pruned` heads of a training under nested masks, and without those pruned earlier.

    Args:
        order: Heads as `layer.head`, in the order in which training masked them; heads pruned earlier are skipped.
        n_pruned: Number of heads to prune.
        present: Heads that the model has now.
        min_per_layer: Heads that every layer keeps.

    Raises:
        SettingError: The model was not trained under nested masks, or not for so many.
    """
    left = [head for head in map(HeadId.parse, order) if head not in present.pruned]
    if not order:
        raise SettingError("this model was not trained under nested masks; give scores of its heads, from rank")
    if n_pruned > len(left):
        raise SettingError(
            f"{n_pruned} heads to prune: training masked {len(left)} of those that the model has; give scores for more"
        )
    shape, gone = (present.n_layers, present.n_heads), present.pruned
    (mask,) = masks_for(left, [n_pruned], shape, min_per_layer=min_per_layer, gone=gone, group=present.group)
    return _exact(mask, n_pruned, present)


def nested_sizes(order: Sequence[str], *, present: HeadMask) -> tuple[int, ...]:
    """The numbers of heads, rising from 1 at least, that `prune_nested` can remove; not all where heads share keys.

    >>> shared = HeadMask(np.ones((1, 4), dtype=np.bool_), group=2)
    >>> nested_sizes(["0.0", "0.1", "0.2", "0.3"], present=shared), nested_sizes(["0.1", "0.3"], present=HeadMask.full(1, 4))
    ((2, 4), (1, 2))
    """
    left = [head for head in map(HeadId.parse, order) if head not in present.pruned]
    masks = masks_for(left, range(len(left) + 1), present.shape, gone=present.pruned, group=present.group)
    return tuple(sorted({present.n_kept - mask.n_kept for mask in masks} - {0}))


def prune_lowest(
    scores: HeadScores,
    n_pruned: int,
    *,
    present: HeadMask | None = None,
    min_per_layer: int = 0,
    normalisation: Normalisation = "none",
) -> HeadMask:
    """The mask without the `n_pruned` least important heads, and without those pruned earlier.

    Args:
        scores: NaN for heads pruned before scoring.
        n_pruned: Number of heads to prune.
        present: Heads that the model has now, from `head_mask`; None means those with a score.
        min_per_layer: Heads that every layer keeps.
        normalisation: See `polyhead.core.heads.normalise`.

    Raises:
        SettingError: Fewer heads can be pruned (see `masks_for`), or a head in `present` has no score.

    >>> prune_lowest(HeadScores(np.array([[3.0, 1.0], [2.0, 4.0]]), "gradient"), 1).pruned
    (HeadId(layer=0, head=1),)
    """
    require(scores=(scores, HeadScores), present=(present, HeadMask | None), min_per_layer=(min_per_layer, Integral))
    (mask,) = masks_of_lowest(scores, [n_pruned], present=present, min_per_layer=min_per_layer, normalisation=normalisation)
    return mask if present is None else _exact(mask, n_pruned, present)


def _exact(mask: HeadMask, n_pruned: int, present: HeadMask) -> HeadMask:
    """The mask, if it is without so many heads of those present.

    Raises:
        SettingError: Heads share keys, and those numbers that can be pruned do not include this one.
    """
    n_gone = present.n_kept - mask.n_kept
    if n_gone < n_pruned:
        shared = f"{present.group} heads share a key in this model and are pruned together"
        raise SettingError(f"{n_pruned} heads to prune: {shared}; give {n_gone} or {n_gone + present.group}, or a mask")
    return mask


def masks_of_lowest(
    scores: HeadScores,
    ks: Iterable[int],
    *,
    present: HeadMask | None = None,
    min_per_layer: int = 0,
    normalisation: Normalisation = "none",
) -> tuple[HeadMask, ...]:
    """A mask for every k, without the k least important heads; arguments and errors are those of `prune_lowest`."""
    scored = HeadMask(~np.isnan(scores.values))
    if present is None:
        present = scored
    if unscored := (HeadMask(~scored.keep) & present).kept:
        raise SettingError(f"scores: none for head {unscored[0]} of the model ({len(unscored)} unscored heads); score this model")
    ranking = rank(np.where(present.keep, scores.values, np.nan), normalisation=normalisation)
    return masks_for(ranking, ks, scores.shape, min_per_layer=min_per_layer, gone=present.pruned, group=present.group)


def chosen_heads(
    heads: HeadMask | Mapping[str, HeadMask] | HeadScores | None,
    n_pruned: int | None,
    *,
    nested: Sequence[str],
    present: HeadMask,
) -> HeadMask | Mapping[str, HeadMask]:
    """What to keep: the masks given, or all but the `n_pruned` lowest by scores or first in the order of nested training.

    Raises:
        SettingError: `n_pruned` is given beside a mask, or not beside scores.
    """
    if isinstance(heads, HeadScores) and n_pruned is not None:
        return prune_lowest(heads, n_pruned, present=present)
    if heads is None and n_pruned is not None:
        return prune_nested(nested, n_pruned, present=present)
    if not isinstance(heads, HeadMask | Mapping) or n_pruned is not None:
        raise SettingError("prune takes a HeadMask alone, or the number of heads to remove with HeadScores or after `nested`")
    return heads
