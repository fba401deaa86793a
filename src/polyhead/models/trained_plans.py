"""Nested plans that a model was trained under, as its `polyhead.json` keeps them: each of them can be pruned without training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from polyhead.core.errors import CheckpointError, SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.core.settings_file import Many

_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
MOST_PLANS: Final = len(_DIGITS) - 1

Digits = Annotated[str, Field(pattern="^[0-9a-z]+$")]


@dataclass(frozen=True, kw_only=True)
class TrainedPlans:
    """Plans of heads and neurons, each within the one before; nested by their form.

    Attributes:
        n: Number of plans, the whole model included.
        heads: For each layer, a character per head of the unpruned model: how many of the plans keep it, as a digit 0-9, a-z.
        neurons: Likewise for neurons.
        group: Heads that share a key, and are pruned together.
        batch: Sentences of the forward pass that the plans were chosen for.
        length: Its subwords per sentence.

    >>> whole = Plan(HeadMask.full(1, 2), NeuronMask.full(1, 3))
    >>> half = Plan(HeadMask(np.array([[True, False]])), NeuronMask(np.array([[False, False, True]])))
    >>> found = TrainedPlans.of([whole, half], batch=32, length=128)
    >>> found.heads, found.neurons, found.plans[1] == half
    (('21',), ('112',), True)
    """

    n: Annotated[int, Field(ge=1, le=MOST_PLANS)]
    heads: Annotated[Many[Digits], Field(min_length=1)]
    neurons: Annotated[Many[Digits], Field(min_length=1)]
    group: Annotated[int, Field(ge=1)] = 1
    batch: Annotated[int, Field(ge=1)]
    length: Annotated[int, Field(ge=1)]

    def __post_init__(self) -> None:
        if len(self.heads) != len(self.neurons):
            raise ValueError(f"has {len(self.heads)} layers of heads and {len(self.neurons)} of neurons")
        for name, rows in (("heads", self.heads), ("neurons", self.neurons)):
            if len({len(row) for row in rows}) > 1:
                raise ValueError(f"has layers of unequal numbers of {name}")
            if (most := max(map(_DIGITS.index, "".join(rows)))) > self.n:
                raise ValueError(f"has {name} in {most} plans of {self.n}")

    @classmethod
    def of(cls, plans: Sequence[Plan], *, batch: int, length: int) -> Self:
        """Of plans from the largest to the smallest.

        Raises:
            SettingError: There are too many.
        """
        if not 1 <= len(plans) <= MOST_PLANS:
            raise SettingError(f"{len(plans)} plans: expected 1 to {MOST_PLANS}")
        heads, neurons = (
            _rows(np.sum([keep(plan) for plan in plans], axis=0))
            for keep in (lambda plan: plan.heads.keep, lambda plan: plan.neurons.keep)
        )
        return cls(n=len(plans), heads=heads, neurons=neurons, group=plans[0].heads.group, batch=batch, length=length)

    @property
    def plans(self) -> tuple[Plan, ...]:
        """The plans, from the largest to the smallest."""
        heads, neurons = _counts(self.heads), _counts(self.neurons)
        return tuple(Plan(HeadMask(heads > k, self.group), NeuronMask(neurons > k)) for k in range(self.n))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Layers, and heads and neurons per layer, of the unpruned model."""
        return len(self.heads), len(self.heads[0]), len(self.neurons[0])

    def smaller_than(self, plan: Plan) -> tuple[Plan, ...]:
        """What the plans leave of a model with this plan, from the largest to the smallest, without those that leave it whole.

        >>> whole = Plan(HeadMask.full(1, 2), NeuronMask.full(1, 3))
        >>> [own.counts for own in TrainedPlans(n=1, heads=("11",), neurons=("001",), batch=1, length=8).smaller_than(whole)]
        [((2, 1),)]
        """
        found = [plan]
        for own in self.plans:
            left = Plan(HeadMask(own.heads.keep & plan.heads.keep, plan.heads.group), own.neurons & plan.neurons)
            if left.counts != found[-1].counts:
                found.append(left)
        return tuple(found[1:])

    def check(self, shape: tuple[int, int, int], *, where: str) -> None:
        """Return if the plans are of a model of this shape.

        Raises:
            CheckpointError: They are of another.
        """
        if self.shape != shape:
            found, wanted = (
                f"{layers} layers of {heads} heads and {neurons} neurons" for layers, heads, neurons in (self.shape, shape)
            )
            raise CheckpointError(f"{where}: its plans are of {found}, and the model has {wanted}; save the model again")


def _rows(counts: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple("".join(_DIGITS[count] for count in row) for row in counts)


def _counts(rows: Sequence[str]) -> NDArray[np.int64]:
    return np.array([[_DIGITS.index(digit) for digit in row] for row in rows])
