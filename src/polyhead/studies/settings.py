"""What to run, not how: the settings of a run, its protocol, and the cells (seed × arm) that they expand to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from polyhead.core.errors import SettingError, UnknownNameError, allowed_names
from polyhead.core.heads import Normalisation
from polyhead.core.settings_file import spec_from
from polyhead.core.specs import SearchSpec, TrainSpec
from polyhead.data.references import SAMPLE_SEED
from polyhead.studies.protocols import PROTOCOLS, Protocol, ProtocolName

SelectOn = Literal["source-dev", "target-dev", "pooled"]
Arm = Literal["ranked", "random", "highest"]
CONTROLS = ("random", "highest", "noise")


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
        revision: Of a hub id.
        scheme: How span tags are written in the user's own files.
        columns: Layout of the user's own files.
        strict: Whether a repair of the data is an error.

    Raises:
        SettingError: A choice is none of those allowed, or two exclude each other.
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
    sample_seed: int = SAMPLE_SEED
    revision: str | None = None
    scheme: str | None = None
    columns: str | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        choices = {"protocol": tuple(PROTOCOLS), "normalisation": get_args(Normalisation), "select_on": get_args(SelectOn)}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise SettingError(f"{name} {getattr(self, name)!r}: expected one of {', '.join(allowed)}")
        if self.train_limit is not None and self.train_limit < 1:
            raise SettingError(f"train_limit {self.train_limit}: expected at least 1 sentence")
        if self.rules.mask_in_training_only and self.search.prune == "after":
            raise SettingError(f"protocol {self.protocol!r} masks heads while training: prune 'after' cannot go with it")
        if self.rules.reported_split and self.search.max_pruned < 1:
            raise SettingError(
                f"protocol {self.protocol!r} reports the best of k = 1..K: max_pruned 0 leaves none; give 1 or more"
            )

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


def run_settings(
    *,
    model: str | Path,
    task: str,
    sources: Sequence[str],
    targets: Sequence[str],
    data: str | Path | None = None,
    protocol: ProtocolName = "sound",
    method: str | None = None,
    normalisation: Normalisation | None = None,
    search: Mapping[str, Any] | None = None,
    train: Mapping[str, Any] | None = None,
    select_on: SelectOn = "source-dev",
    train_limit: int | None = None,
    sample_seed: int = SAMPLE_SEED,
    scheme: str | None = None,
    columns: str | None = None,
    strict: bool = False,
    revision: str | None = None,
) -> RunSettings:
    """The settings of a run: what is given, and the protocol's answer to everything that is not.

    Args:
        model: Folder or hub id of a pre-trained encoder.
        task: `pos`, `ner` or `slots`.
        sources: Corpora trained on, such as `ud/en_ewt` or `en=TRAIN:DEV:TEST`.
        targets: Corpora tested on, such as `ud/de_gsd` or `de=TEST`.
        data: Folder in which corpora are looked up by name.
        protocol: `sound`, or for comparison `paper` or `paper-released`.
        method: Importance method.
        normalisation: Of the scores.
        search: Fields of `SearchSpec`, such as `{"max_pruned": 12}`.
        train: Fields of `TrainSpec`, such as `{"epochs": 3}`.
        select_on: Dev sets that choose the number of heads; `target-dev` is an oracle.
        train_limit: Number of training sentences used of each source.
        sample_seed: Seed of that sample and of a held-out dev set.
        scheme: How span tags are written in the user's own files.
        columns: Layout of the user's own files.
        strict: Raise where a repair of the data would be counted.
        revision: Of a hub id.

    Raises:
        UnknownNameError: No such protocol.
        SettingError: An option is unknown, its value is not allowed, or two exclude each other.

    >>> settings = run_settings(model="m", task="pos", sources=["ud/en_ewt"], targets=["ud/de_gsd"], train={"epochs": 1})
    >>> settings.method, settings.search.how, settings.train.epochs
    ('gradient', 'screened', 1)

    >>> run_settings(model="polyhead/tiny", task="pos", sources=["phrases/en"], targets=["phrases/de"]).search.max_pruned
    12
    """
    if protocol not in PROTOCOLS:
        raise UnknownNameError(f"protocol {protocol!r}: {allowed_names(protocol, PROTOCOLS)}")
    rules = PROTOCOLS[protocol]
    preset = {"order": rules.order, "anchor": rules.anchor, "learning_rate": rules.learning_rate, "warmup": rules.warmup}
    searched = {"how": rules.how, "include_zero": not rules.reported_split, **(search or {})}
    return RunSettings(
        model=str(model),
        task=task,
        sources=tuple(sources),
        targets=tuple(targets),
        data=None if data is None else str(data),
        method=method or rules.method,
        normalisation=normalisation or rules.normalisation,
        protocol=protocol,
        search=spec_from(SearchSpec, searched, where="search"),
        train=spec_from(TrainSpec, {**preset, **(train or {})}, where="train"),
        select_on=select_on,
        train_limit=train_limit,
        sample_seed=sample_seed,
        scheme=scheme,
        columns=columns,
        strict=strict,
        revision=revision,
    )


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
