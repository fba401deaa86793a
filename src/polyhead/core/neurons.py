"""Value types for the neurons of feed-forward blocks: a mask, and plans and scores of heads and neurons together.

A neuron is one entry of the inner layer of a feed-forward block. Its address is `(layer, neuron)`, 0-based, in the numbering of
the unpruned model. Arrays are `[layers, neurons]`. In a mask, True means keep.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask, HeadScores, read_only


@dataclass(frozen=True, eq=False)
class NeuronMask:
    """Which neurons to keep: `keep` is bool `[layers, neurons]`, True = keep. A layer may keep none.

    >>> NeuronMask.full(2, 3).counts
    (3, 3)
    """

    keep: NDArray[np.bool_]

    def __post_init__(self) -> None:
        object.__setattr__(self, "keep", read_only(self.keep, np.bool_, "neurons"))

    @classmethod
    def full(cls, n_layers: int, n_neurons: int) -> Self:
        """Every neuron kept."""
        return cls(np.ones((n_layers, n_neurons), dtype=np.bool_))

    @property
    def shape(self) -> tuple[int, int]:
        """Number of layers, and neurons per layer of the unpruned model."""
        return self.keep.shape  # type: ignore[return-value]

    @property
    def n_layers(self) -> int:
        """Number of layers."""
        return self.shape[0]

    @property
    def n_neurons(self) -> int:
        """Neurons per layer of the unpruned model."""
        return self.shape[1]

    @property
    def counts(self) -> tuple[int, ...]:
        """Kept neurons of every layer."""
        return tuple(self.keep.sum(axis=1).tolist())

    @property
    def n_pruned(self) -> int:
        """Number of pruned neurons."""
        return int((~self.keep).sum())

    @property
    def n_kept(self) -> int:
        """Number of kept neurons."""
        return int(self.keep.sum())

    def __and__(self, other: "NeuronMask") -> "NeuronMask":
        if self.shape != other.shape:
            raise SettingError(f"masks of shapes {self.shape} and {other.shape} cannot be combined")
        return NeuronMask(self.keep & other.keep)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NeuronMask) and np.array_equal(self.keep, other.keep)

    def __hash__(self) -> int:
        return hash((self.keep.shape, self.keep.tobytes()))


@dataclass(frozen=True)
class Plan:
    """What a smaller model keeps: heads and neurons. A layer without heads and without neurons is dropped but for its biases.

    >>> Plan(HeadMask.full(2, 2), NeuronMask.full(2, 3)).counts
    ((2, 3), (2, 3))
    """

    heads: HeadMask
    neurons: NeuronMask

    def __post_init__(self) -> None:
        if self.heads.n_layers != self.neurons.n_layers:
            raise SettingError(f"a mask of {self.heads.n_layers} layers of heads and one of {self.neurons.n_layers} of neurons")

    @property
    def counts(self) -> tuple[tuple[int, int], ...]:
        """Kept heads and kept neurons of every layer."""
        return tuple(zip(self.heads.keep.sum(axis=1).tolist(), self.neurons.counts, strict=True))


@dataclass(frozen=True, eq=False)
class PlanScores:
    """Importance of every head and every neuron by one method on the same data, comparable within a kind.

    Attributes:
        heads: Of the heads.
        neurons: float64 `[layers, neurons]`; higher = more important; NaN = pruned neuron.
        signed: `neurons` without absolute values, as in `HeadScores`; None where the method has none.

    >>> PlanScores(HeadScores(np.zeros((2, 2)), "gradient"), np.zeros((2, 3))).neurons.shape
    (2, 3)
    """

    heads: HeadScores
    neurons: NDArray[np.float64]
    signed: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        for name in ("neurons", "signed"):
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, read_only(array, np.float64, "neurons"))
        if self.heads.n_layers != len(self.neurons):
            raise SettingError(f"scores of {self.heads.n_layers} layers of heads and of {len(self.neurons)} of neurons")
