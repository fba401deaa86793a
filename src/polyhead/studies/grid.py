"""What to run, not how: the settings of a run, its protocol, and the cells (seed × arm) that they expand to."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from polyhead.config import SearchSpec, TrainSpec
from polyhead.errors import SettingError, UnknownNameError
from polyhead.heads import Normalisation

ProtocolName = Literal["sound", "paper", "paper-released"]
SelectOn = Literal["source-dev", "target-dev", "pooled"]
Arm = Literal["ranked", "random", "highest"]
CONTROLS = ("random", "highest", "noise")


@dataclass(frozen=True)
class Protocol:
    """How a protocol answers what the paper leaves open; every answer can be overridden by an explicit setting.

    Attributes:
        method: Importance method.
        normalisation: Of the scores before ranking.
        order: Of the training sentences.
        anchor: Which piece of a word carries its label.
        learning_rate: None lets the encoder's size decide.
        how: Search for the number of heads.
        reported_split: True = choose k per target on the split that is reported (what the paper's tables do).
        mask_in_training_only: True = heads are masked while training and back on at evaluation (what its code does).
        first_rows: True = a limited training set is the file's first rows instead of a seeded sample.
        claim: What a reader of its numbers must know.
    """

    method: str
    normalisation: Normalisation
    order: Literal["buckets", "shuffled", "file"]
    anchor: Literal["text", "first"]
    learning_rate: float | None
    how: Literal["sequential", "sweep", "screened"]
    reported_split: bool
    mask_in_training_only: bool
    first_rows: bool
    claim: str


PROTOCOLS: dict[str, Protocol] = {
    "sound": Protocol(
        method="gradient",
        normalisation="none",
        order="buckets",
        anchor="text",
        learning_rate=None,
        how="screened",
        reported_split=False,
        mask_in_training_only=False,
        first_rows=False,
        claim="heads ranked on dev, k chosen on source dev among 0..K, each test split scored for k = 0 and the chosen k only",
    ),
    "paper": Protocol(
        method="weight-gradient",
        normalisation="paper",
        order="file",
        anchor="first",
        learning_rate=5e-5,
        how="sweep",
        reported_split=True,
        mask_in_training_only=False,
        first_rows=False,
        claim="as Ma et al. 2021 describe it: best of k = 1..K per target on the reported split; a maximum over noisy draws, no gain",
    ),
    "paper-released": Protocol(
        method="weight-gradient-released",
        normalisation="paper",
        order="file",
        anchor="first",
        learning_rate=5e-5,
        how="sweep",
        reported_split=True,
        mask_in_training_only=True,
        first_rows=True,
        claim="as the released code of Ma et al. 2021 computes it: wrong axis, all heads on at evaluation, best of k = 1..K per target",
    ),
}


@dataclass(frozen=True)
class RunSettings:
    """Everything that decides a run's numbers, seeds and controls apart.

    Attributes:
        model: Folder or hub id of the pre-trained encoder.
        task: Name in the tasks table.
        sources: References of the corpora trained on.
        targets: References of the corpora tested on.
        data: Folder that corpus names are looked up in.
        method: Importance method; its scores rank the heads, lowest first to go.
        normalisation: Of the scores before ranking.
        protocol: Name in the protocols table.
        search: How the number of heads is found.
        train: How a fine-tuning goes.
        select_on: Dev sets that choose k: the sources', the targets' (an oracle, and labelled so), or both pooled.
        train_limit: Number of training sentences used of each source; None = all.
        sample_seed: Seed of that sample and of a held-out dev set; the same for every seed of the run.
    """

    model: str
    task: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    data: str | None
    method: str
    normalisation: Normalisation
    protocol: ProtocolName
    search: SearchSpec
    train: TrainSpec
    select_on: SelectOn = "source-dev"
    train_limit: int | None = None
    sample_seed: int = 42
    revision: str | None = None
    scheme: str | None = None
    columns: str | None = None
    strict: bool = False

    @property
    def rules(self) -> Protocol:
        """The row of the protocols table."""
        return PROTOCOLS[self.protocol]


@dataclass(frozen=True)
class Cell:
    """One seed of one arm: `ranked` prunes the lowest heads, `highest` the highest, `random` in seeded random order."""

    settings: RunSettings
    seed: int
    arm: Arm

    @property
    def train(self) -> TrainSpec:
        """The training settings with this cell's seed."""
        return replace(self.settings.train, seed=self.seed)


def protocol(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        UnknownNameError: No row has it.
    """
    if name not in PROTOCOLS:
        raise UnknownNameError(f"protocol {name!r}: expected one of {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def expand(settings: RunSettings, *, seeds: Sequence[int], controls: Sequence[str] = ()) -> tuple[Cell, ...]:
    """The cells of a run, seed by seed, the ranked arm first; `noise` is no arm of its own and adds none.

    Raises:
        SettingError: No seed, a seed twice, or an unknown control.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise SettingError(f"seeds {list(seeds)}: expected at least one, each once")
    unknown = [name for name in controls if name not in CONTROLS]
    if unknown:
        raise SettingError(f"control {unknown[0]!r}: expected some of {', '.join(CONTROLS)}")
    arms: list[Arm] = ["ranked"]
    arms += [arm for arm in ("random", "highest") if arm in controls]
    return tuple(Cell(settings, seed, arm) for seed in seeds for arm in arms)
