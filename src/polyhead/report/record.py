"""The record of a run, `result.json`: studies write it, reports read it; validated both ways."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Final, Self

from pydantic import Field, model_validator

from polyhead.core.specs import SearchSpec, TrainSpec
from polyhead.data.tasks import TASKS
from polyhead.report.document import Document, Form

RANKED: Final = "ranked"


Interval = tuple[float, float]
Matrix = Annotated[list[list[float | None]], Field(min_length=1)]
"""`[layers][heads]`; null for a head that the model does not have."""


class SettingsRecord(Form):
    """The run's settings, seeds and controls, and the kind of words and the claim that follow from them."""

    model: str
    task: str
    sources: list[str]
    targets: list[str]
    data: str | None
    method: str
    normalisation: str
    protocol: str
    search: SearchSpec
    train: TrainSpec
    select_on: str
    train_limit: int | None
    sample_seed: int
    revision: str | None
    scheme: str | None
    columns: str | None
    strict: bool
    words: str
    seeds: list[int]
    controls: list[str]
    claim: str
    rank_on: str = "sources+target"
    combine: str = "merged"
    target_tenths: int | None = None
    unseen_labels: str = "keep"


class EncodingRecord(Form):
    """Counts from encoding a split."""

    subwords: int
    lone_marker_share: float
    windowed_sentences: int
    unk_words: int
    truncated_words: int
    unknown_labels: int


class DataRecord(Form):
    """One split that was read."""

    name: str
    language: str
    split: str
    sentences: int
    words: int
    sha256: str
    repairs: dict[str, int]
    encoding: EncodingRecord


class RankingCost(Form):
    """How the heads were ranked, and the cost."""

    method: str
    seconds: float
    forward_passes: float
    backward_passes: float
    units: int
    settings: dict[str, str | int | float | bool | None]


class TrialRecord(Form):
    """One k that was tried; `tests` has test scores by target, only under the paper's protocols."""

    k: int
    heads: list[str]
    dev: float
    seconds: float
    tests: dict[str, float] | None = None


class TargetRecord(Form):
    """Scores on one target, in points, before and after pruning its `k` heads; of a nested search also of its model at k = 0."""

    name: str
    language: str
    n_words: int
    k: int
    unpruned: dict[str, float]
    pruned: dict[str, float]
    nested_unpruned: dict[str, float] | None = None


class CellRecord(Form):
    """One seed of one arm; `fit` names the folder of the chosen fine-tuning."""

    seed: int
    arm: str
    fit: str
    scores: Matrix
    ranking: list[str]
    ranking_cost: RankingCost
    screen: list[float] | None
    standard_error: float | None
    trials: Annotated[list[TrialRecord], Field(min_length=1)]
    chosen: int
    chosen_reason: str
    fine_tunings: int
    targets: Annotated[list[TargetRecord], Field(min_length=1)]


class NoiseGain(Form):
    """The gain by chance from choosing among equal models."""

    mean: float
    standard_error: float


class GainMinusNoise(Form):
    """A gain beyond selection noise."""

    value: float
    interval: Interval


class MaskGain(Form):
    """The gain of a nested search over its own model with all heads: what the mask did, without the training."""

    gain: float
    by_seed: list[float]
    interval: Interval | None


class Statistic(Form):
    """The statistics of one target in one arm; of the mean over targets if `name` is None."""

    arm: str
    name: str | None
    language: str
    gain: float
    n_seeds: int
    by_seed: list[float]
    standard_error: float | None
    degrees_of_freedom: float | None
    interval: Interval | None
    p: float | None
    p_holm: float | None
    detectable_gain: float | None
    none_pruned: bool
    noise: NoiseGain | None
    gain_minus_noise: GainMinusNoise | None
    of_mask: MaskGain | None = None


class NoisePool(Form):
    """Dev scores, and test scores by target, in points, of unpruned models that differ only in their seed."""

    seeds: list[int]
    dev: list[float]
    tests: dict[str, list[float]]


class CostRecord(Form):
    """Upper limits of what pruning can save in this model."""

    head_weights: int
    heads: int
    all_heads_weights: int
    model_weights: int
    pruned_model_weights: int
    embedding_weights: int
    heads_pruned: int
    attention_share_128: float
    attention_share_512: float


class RunRecord(Document):
    """A finished run; `stages` has the version of each stage's code, `files` the sha256 of the run's other files."""

    what: ClassVar[str] = "the result of a run"
    indent: ClassVar[int | None] = 1

    command: str | None
    date: str
    settings: SettingsRecord
    environment: dict[str, str | int]
    stages: dict[str, int]
    model_hash: str
    learning_rate: float
    data: list[DataRecord]
    cells: Annotated[list[CellRecord], Field(min_length=1)]
    statistics: list[Statistic]
    noise: NoisePool | None
    cost: CostRecord
    seconds: float
    files: dict[str, str]

    @property
    def first(self) -> CellRecord:
        """The ranked cell of the first seed, whose model is saved."""
        return next(cell for cell in self.cells if cell.arm == RANKED)

    @property
    def shape(self) -> tuple[int, int]:
        """Layers and heads of the unpruned encoder."""
        return len(self.cells[0].scores), len(self.cells[0].scores[0])

    @model_validator(mode="after")
    def _parts_agree(self) -> Self:
        if self.settings.task not in TASKS:
            raise ValueError(f"settings.task is {self.settings.task!r}; expected one of {', '.join(TASKS)}")
        if not any(cell.arm == RANKED for cell in self.cells):
            raise ValueError("no cell of the ranked arm")
        metric = TASKS[self.settings.task].metric
        for place, cell in enumerate(self.cells):
            if not has_shape(cell.scores, self.shape) or not self.shape[1]:
                raise ValueError(f"scores of cells.{place} do not have {self.shape[0]} layers of as many heads as the first")
            for target in cell.targets:
                if metric not in target.unpruned or metric not in target.pruned:
                    raise ValueError(f"target {target.name} of cells.{place} has no {metric}")
        return self


def has_shape(rows: Sequence[Sequence[object]], shape: tuple[int, int]) -> bool:
    """Whether these are so many rows, each of so many values."""
    return len(rows) == shape[0] and all(len(row) == shape[1] for row in rows)
