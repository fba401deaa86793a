"""What a study still costs: cells, fine-tunings, hours and gigabytes, before anything runs."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from polyhead.studies.study_cells import StudyCell
from polyhead.studies.study_store import KeepWeights
from polyhead.studies.study_trainings import Training, distinct, released, released_shared, trainings

# First guesses, used and said where a store has no figures of its own.
_SENTENCES_PER_SECOND: Final = 50.0  # trained on, by an encoder of base size
_SMALL_PER_SECOND: Final = 150.0  # by one whose weights take less than 0.1 GB
_SMALL_GIGABYTES: Final = 0.1
_CORPUS: Final = 5000  # training sentences of a corpus of unknown size
_MODEL_GIGABYTES: Final = 1.1  # weights of a base-sized multilingual encoder in float32
_CELL_GIGABYTES: Final = 0.0005  # figures and per-sentence counts
# Ranking, screening and testing beside fine-tuning: benchmarks/results/run_cost.json, without the analysis of heads.
_OTHER_STAGES: Final = 0.44


@dataclass(frozen=True)
class StageTime:
    """What one finished stage of a store took.

    Attributes:
        kind: `fine-tuning`, or the name of another stage.
        model: Folder or hub id of the encoder.
        sentences: Training sentences times epochs of a fine-tuning; 0 for other stages.
        seconds: Wall-clock time.
    """

    kind: str
    model: str
    sentences: int
    seconds: float


@dataclass(frozen=True)
class Plan:
    """What a study needs, as far as its settings and its store tell.

    Attributes:
        cells: All cells of the study.
        finished: Those that the store holds.
        trainings: Distinct fine-tunings of all cells, at most.
        full: Those of them with all heads.
        there: Those of finished cells.
        seconds: Wall-clock time of one process for what is left, at most.
        gigabytes: Kept on disk when all is done, and the weights in use at one time while it runs.
        working_gigabytes: The second of these alone.
        guesses: What the estimates rest on that the store does not know, in words.
        released: Fine-tunings of the released procedure, run once for every cell and target.
        released_shared: The same with each source model trained once for all its targets.
    """

    cells: int
    finished: int
    trainings: int
    full: int
    there: int
    seconds: float
    gigabytes: float
    working_gigabytes: float
    guesses: tuple[str, ...]
    released: int
    released_shared: int

    @property
    def left(self) -> int:
        """Fine-tunings still needed, at most."""
        return self.trainings - self.there


def plan(
    cells: Sequence[StudyCell],
    *,
    finished: Collection[str] = (),
    times: Sequence[StageTime] = (),
    sentences: Mapping[str, int] | None = None,
    model_gigabytes: Mapping[str, float] | None = None,
    keep: KeepWeights = "none",
    workers: int = 1,
) -> Plan:
    """The plan of a study's cells.

    Args:
        cells: From `expand_study`.
        finished: Fingerprints of the cells that the store holds.
        times: The store's own finished stages.
        sentences: Training sentences by reference, as far as known.
        model_gigabytes: Size of an encoder's weights by name, as far as known.
        keep: Weights kept when a cell is done: none, those of the chosen k, or all.
        workers: Processes that work at one time, each of which needs weights of its own.

    >>> from polyhead.studies.study_file import expand_study, parse_study
    >>> text = 'name = "x"\\ntasks = ["pos"]\\nmodels = ["polyhead/tiny"]\\nsources = ["phrases/en"]\\ntargets = ["phrases/de"]'
    >>> found = plan(expand_study(parse_study(text + '\\nsearch.how = "nested"\\ncontrols = ["random"]', "x.toml")))
    >>> found.cells, found.trainings, found.full, found.released
    (10, 15, 5, 125)
    """
    sentences, weights = sentences or {}, model_gigabytes or {}
    known = set(finished)
    done = [cell for cell in cells if cell.fingerprint in known]
    left_cells = [cell for cell in cells if cell.fingerprint not in known]
    needed, there = distinct(cells), distinct(done)
    left = [training for name, training in needed.items() if name not in there]
    models = {cell.model for cell in cells}
    size = {model: weights.get(model, _MODEL_GIGABYTES) for model in models}
    speeds, other = _speeds(times), _other_stages(times)
    guessed = {model: _SMALL_PER_SECOND if size[model] < _SMALL_GIGABYTES else _SENTENCES_PER_SECOND for model in models}
    rates = {**guessed, **speeds}
    seconds = sum(_sentences(one, sentences) / rates[one.model] for one in left) * (1 + other)
    kept = {
        "none": 0.0,
        "chosen": sum(size[cell.model] for cell in cells if cell.arm != "noise"),
        "all": sum(size[one.model] for one in needed.values()),
    }[keep]
    opened = {next(trainings(cell)).name for cell in left_cells}.intersection(next(trainings(cell)).name for cell in done)
    # the full models of those that a worker has begun with; the nested or best one, and the one in training with its gradients
    # and two moments
    working = (max(workers, len(opened)) + 5 * workers) * max(size.values(), default=0.0)
    return Plan(
        cells=len(cells),
        finished=len(done),
        trainings=len(needed),
        full=sum(one.kind == "full" for one in needed.values()),
        there=len(there),
        seconds=seconds,
        gigabytes=kept + len(cells) * _CELL_GIGABYTES + working,
        working_gigabytes=working,
        guesses=tuple(_guesses(left, rates, models - speeds.keys(), sentences, models - weights.keys())),
        released=released(cells),
        released_shared=released_shared(cells),
    )


def _speeds(times: Sequence[StageTime]) -> dict[str, float]:
    """Sentences per second of each model's fine-tunings: the median."""
    by_model: dict[str, list[float]] = {}
    for one in times:
        if one.kind == "fine-tuning" and one.sentences and one.seconds > 0:
            by_model.setdefault(one.model, []).append(one.sentences / one.seconds)
    return {model: median(speeds) for model, speeds in by_model.items()}


def _other_stages(times: Sequence[StageTime]) -> float:
    """Seconds of all other stages per second of fine-tuning."""
    trained, other = (sum(one.seconds for one in times if (one.kind == "fine-tuning") is is_it) for is_it in (True, False))
    return other / trained if trained and other else _OTHER_STAGES


def _sentences(training: Training, known: Mapping[str, int]) -> float:
    """Sentences that a fine-tuning reads, over all epochs."""
    total = 0.0
    for place, source in enumerate(training.sources):
        n = float(known.get(source, _CORPUS))
        if training.target_tenths is not None and place == len(training.sources) - 1:
            n *= training.target_tenths / 10
        total += n if training.train_limit is None else min(n, training.train_limit)
    return total * training.epochs


def _guesses(
    left: Sequence[Training],
    rates: Mapping[str, float],
    untimed: Collection[str],
    sentences: Mapping[str, int],
    unsized: Collection[str],
) -> list[str]:
    found = [
        f"{model}: not timed in this store; {rates[model]:g} training sentences a second are assumed"
        for model in sorted({one.model for one in left} & set(untimed))
    ]
    if unknown := sorted({name for one in left if one.train_limit is None for name in one.sources if name not in sentences}):
        some = f"{unknown[0]} and {len(unknown) - 1} more" if len(unknown) > 2 else " and ".join(unknown)
        found.append(f"{some}: size not known before reading; {_CORPUS:,} training sentences are assumed")
    if left and unsized:
        found.append(f"{', '.join(sorted(unsized))}: size not known; {_MODEL_GIGABYTES:g} GB of weights are assumed")
    return found
