"""The arms of a run, and the cells (seed × arm) that its settings expand to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Final, Literal

from pydantic import Field

from polyhead.core.errors import SettingError
from polyhead.core.settings_file import Many, checked
from polyhead.core.specs import Seed, TrainSpec
from polyhead.studies.settings import RunSettings

Arm = Literal["ranked", "random", "highest", "depth"]
Control = Literal["random", "highest", "depth", "noise"]
OTHER_ORDERS: Final[tuple[Arm, ...]] = ("random", "highest", "depth")
"""Arms that search another order of heads than the ranked one."""


@dataclass(frozen=True)
class Cell:
    """One seed of one arm.

    `ranked` prunes the lowest heads, `highest` the highest, `random` in seeded random order, `depth` whole layers from the top.
    """

    train: TrainSpec
    arm: Arm

    @property
    def seed(self) -> int:
        """Seed of the fine-tunings, of the ranking and of a random order."""
        return self.train.seed


def expand(settings: RunSettings, *, seeds: Sequence[int], controls: Sequence[str] = ()) -> tuple[Cell, ...]:
    """The cells of a run, seed by seed, the ranked arm first; `noise` adds no arm.

    Raises:
        SettingError: No seed, an unknown control, or one named twice.
    """
    named = checked("seeds", seeds, Annotated[Many[Seed], Field(min_length=1)])
    controls = checked("controls", controls, Many[Control])
    for what, given in (("seed", named), ("control", controls)):
        if len(set(given)) != len(given):
            raise SettingError(f"{what}s = {list(given)}: should name each {what} once")
    arms: list[Arm] = ["ranked", *(arm for arm in OTHER_ORDERS if arm in controls)]
    return tuple(Cell(replace(settings.train, seed=seed), arm) for seed in named for arm in arms)
