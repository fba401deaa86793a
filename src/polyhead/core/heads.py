"""Value types for heads: an address, a mask and a matrix of scores, over read-only numpy arrays.

The address of a head is `(layer, head)`, 0-based, in the numbering of the unpruned model. Arrays are `[layers, heads]`.
In a mask, True means keep. In scores, higher means more important, and NaN marks a pruned head.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from polyhead.core.errors import SettingError
from polyhead.core.values import whole_number

Normalisation = Literal["none", "paper"]


@dataclass(frozen=True, order=True, slots=True)
class HeadId:
    """Address of one head: 0-based layer and head in the unpruned model, written `layer.head`."""

    layer: int
    head: int

    def __post_init__(self) -> None:
        if self.layer < 0 or self.head < 0:
            raise SettingError(f"head {self}: layers and heads count from 0")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `layer.head`, for example `3.5`.

        Raises:
            SettingError: The text is not two non-negative whole numbers joined by a dot.

        >>> HeadId.parse("3.5")
        HeadId(layer=3, head=5)
        """
        layer, head = (whole_number(part) for part in text.strip().partition(".")[::2])
        if layer is None or head is None:
            shown = repr(text) if len(text) <= 40 else f"{text[:40]!r}..."
            raise SettingError(f"head {shown}: expected LAYER.HEAD with 0-based numbers, for example 3.5")
        return cls(layer, head)

    def __str__(self) -> str:
        return f"{self.layer}.{self.head}"


def read_only(values: ArrayLike, dtype: type[np.generic], what: str = "heads") -> NDArray[np.generic]:
    """A read-only copy of a matrix `[layers, heads]` or `[layers, neurons]`; booleans only from booleans, zeros and ones.

    Raises:
        SettingError: It is no matrix, or a mask holds another number.
    """
    one = what.removesuffix("s")
    try:
        given = np.asarray(values)
        array = given.astype(dtype)
    except (TypeError, ValueError) as error:
        raise SettingError(f"a matrix of {what} holds one number per {one}, [layers, {what}]: {error}") from None
    if array.ndim != 2:
        raise SettingError(f"a matrix of {what} has shape [layers, {what}]; got shape {array.shape}")
    if dtype is np.bool_ and (wrong := given[given != array]).size:
        raise SettingError(f"a mask holds True (keep) or False, or 1 or 0, for each {one}; got {wrong[0]}")
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class HeadMask:
    """Which heads to keep: `keep` is bool `[layers, heads]`, True = keep. A layer may keep no heads.

    Attributes:
        keep: The heads.
        group: Neighbouring heads that share a key, in a mask from `head_mask`; searches prune all of them together. Two masks
            with the same heads are equal.
    """

    keep: NDArray[np.bool_]
    group: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "keep", read_only(self.keep, np.bool_))

    @classmethod
    def full(cls, n_layers: int, n_heads: int) -> Self:
        """Every head kept."""
        return cls(np.ones((n_layers, n_heads), dtype=np.bool_))

    @classmethod
    def without(cls, n_layers: int, n_heads: int, heads: Iterable[HeadId]) -> Self:
        """Every head kept except `heads`.

        Raises:
            SettingError: An address lies outside `[n_layers, n_heads]`.

        >>> HeadMask.without(2, 2, [HeadId(0, 1)]).keep.tolist()
        [[True, False], [True, True]]
        """
        keep = np.ones((n_layers, n_heads), dtype=np.bool_)
        for head in heads:
            if not (0 <= head.layer < n_layers and 0 <= head.head < n_heads):
                raise SettingError(f"head {head}: this model has layers 0..{n_layers - 1} and heads 0..{n_heads - 1}")
            keep[head.layer, head.head] = False
        return cls(keep)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of layers, and heads per layer of the unpruned model."""
        return self.keep.shape  # type: ignore[return-value]

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return self.shape[0]

    @property
    def n_heads(self) -> int:
        """Heads per layer of the unpruned model."""
        return self.shape[1]

    @property
    def pruned(self) -> tuple[HeadId, ...]:
        """Addresses of the pruned heads, in order."""
        return tuple(HeadId(layer, head) for layer, head in np.argwhere(~self.keep).tolist())

    @property
    def kept(self) -> tuple[HeadId, ...]:
        """Addresses of the kept heads, in order."""
        return tuple(HeadId(layer, head) for layer, head in np.argwhere(self.keep).tolist())

    @property
    def n_pruned(self) -> int:
        """Number of pruned heads."""
        return int((~self.keep).sum())

    @property
    def n_kept(self) -> int:
        """Number of kept heads."""
        return int(self.keep.sum())

    def __and__(self, other: "HeadMask") -> "HeadMask":
        if self.shape != other.shape:
            raise SettingError(f"masks of shapes {self.shape} and {other.shape} cannot be combined")
        return HeadMask(self.keep & other.keep)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HeadMask) and np.array_equal(self.keep, other.keep)

    def __hash__(self) -> int:
        return hash((self.keep.shape, self.keep.tobytes()))


@dataclass(frozen=True, eq=False)
class HeadScores:
    """Importance of every head, and the sums needed to merge languages without another pass.

    Two are equal if all fields except `seconds` are equal. Not hashable.

    Attributes:
        values: float64 `[layers, heads]`; higher = more important; NaN = pruned head.
        method: Name in the methods table.
        signed: `values` without absolute values, `[layers, heads]`: a mean over units in which opposite effects cancel.
            Positive: the head helps (turning it down raises the loss); negative: it harms. None where the method takes no
            absolute value, because `values` is then signed itself. `signed * n` is the sum, for merging.
        total: Sum over units whose mean is `values`, before division by `n`; None where the method has no such sum.
        low: Lower bounds of the 95 % intervals of the estimates `[layers, heads]`; None where the method has none.
        high: Upper bounds, likewise.
        n: Number of units in `total`: sentences, or batches for the weight gradients.
        languages: Languages of the data, in order.
        model: Name or folder of the model.
        data_hash: SHA-256 of the data file, or a fingerprint over the hashes of several.
        seconds: Wall-clock time.
        forward_passes: Forward passes over all data.
        backward_passes: Backward passes over all data.
        settings: Other settings needed to reproduce the numbers (`per`, precision, seed, …); JSON values only.

    >>> one, other = (HeadScores(np.array([[0.5, np.nan]]), "gradient", seconds=s) for s in (1.0, 2.0))
    >>> one == other, one == HeadScores(np.array([[0.5, 0.0]]), "gradient")
    (True, False)
    """

    values: NDArray[np.float64]
    method: str
    signed: NDArray[np.float64] | None = None
    total: NDArray[np.float64] | None = None
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    n: int = 0
    languages: Sequence[str] = ()
    model: str = ""
    data_hash: str = ""
    seconds: float = 0.0
    forward_passes: float = 0.0
    backward_passes: float = 0.0
    settings: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("values", "signed", "total", "low", "high"):
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, read_only(array, np.float64))
        object.__setattr__(self, "languages", tuple(self.languages))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of layers, and heads per layer of the unpruned model."""
        return self.values.shape  # type: ignore[return-value]

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return self.shape[0]

    @property
    def n_heads(self) -> int:
        """Heads per layer of the unpruned model."""
        return self.shape[1]

    @property
    def title(self) -> str:
        """The method, and how sources were combined where that changed the scale: `gradient, mean-rank`."""
        how = self.settings.get("combined")
        return self.method if how in (None, "merged", "each") else f"{self.method}, {how}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HeadScores):
            return NotImplemented
        names = [item.name for item in fields(self) if item.name != "seconds"]
        return all(_same(getattr(self, name), getattr(other, name)) for name in names)

    __hash__ = None  # type: ignore[assignment]


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return np.array_equal(one, other, equal_nan=True)
    return one is other or (type(one) is type(other) and bool(one == other))


def normalise(values: NDArray[np.float64], how: Normalisation = "none") -> NDArray[np.float64]:
    """Scale a matrix of scores `[layers, heads]`; NaN stays NaN and is skipped.

    Args:
        values: Scores, higher = more important.
        how: `none` returns them unchanged; `paper` divides each layer by its sum, then scales the whole matrix to [0, 1]
            (0/0 = 0), as Ma et al. 2021 do. Scores must not be negative: dividing by a negative sum would reverse the order.

    Raises:
        SettingError: `how` is neither, or a score is negative under `paper`.

    >>> normalise(np.array([[1.0, 3.0], [2.0, 2.0]]), "paper").tolist()
    [[0.0, 1.0], [0.5, 0.5]]
    """
    if how == "none":
        return values
    if how != "paper":
        raise SettingError(f"normalisation {how!r}: expected 'none' or 'paper'")
    if (values < 0).any():
        raise SettingError(
            f"normalisation paper: the lowest score is {np.nanmin(values):.3g}, and dividing a layer by its sum can reverse the "
            "order of negative scores; use none"
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = np.nansum(values, axis=1, keepdims=True)
        by_layer = np.where(np.isnan(values), np.nan, np.where(sums == 0, 0.0, values / sums))
        if np.isnan(by_layer).all():
            return by_layer
        low, high = np.nanmin(by_layer), np.nanmax(by_layer)
        return by_layer * 0.0 if high == low else (by_layer - low) / (high - low)
