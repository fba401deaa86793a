"""Stores of studies that were never run: records and counts drawn from known scores and gains."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from polyhead.core.specs import SearchSpec, TrainSpec
from polyhead.core.values import fingerprint, jsonable
from polyhead.data.corpora import CORPORA
from polyhead.data.tasks import TASKS
from polyhead.learning.metrics import metric_from_counts
from polyhead.report.record import CellRecord, RankingCost, TargetRecord, TrialRecord
from polyhead.report.study_record import CELLS, NOISE, StageSeconds, StudyCellFacts, StudyCellRecord, counts_key, write_cell

SHAPE: Final = (4, 6)
SEEDS: Final = (42, 43, 44, 45, 46)
GRID: Final = tuple(range(13))

Gain = Callable[[str, str], float]
"""Points that pruning really gains, of a source and a target."""


@dataclass(frozen=True)
class Fake:
    """What to draw; each sequence is one side of the product, as in a study file.

    Attributes:
        gain: Of the ranked arm; random and highest heads gain nothing.
        seed_sd: Standard deviation of a seed's gain around it, in points.
        closeness_of_scores: 0: head scores of two languages are unrelated; 1: equal.
        chosen: The k that every search chose; 0: none pruned.
        shift: Points by which the nested model with all heads differs from the ordinary fine-tuning.
    """

    task: str = "pos"
    models: Sequence[str] = ("polyhead/tiny",)
    setting: str = "cross-lingual"
    sources: Sequence[str] = ("ud/en_ewt",)
    targets: Sequence[str] = ("ud/de_gsd", "ud/nl_alpino", "ud/ar_padt")
    methods: Sequence[str] = ("gradient",)
    combine: Sequence[str] = ("merged",)
    tenths: Sequence[int | None] = (None,)
    seeds: Sequence[int] = SEEDS
    arms: Sequence[str] = ("ranked", "random")
    protocol: str = "sound"
    search: SearchSpec = field(default_factory=lambda: SearchSpec(how="nested"))
    gain: Gain = lambda source, target: 1.0
    seed_sd: float = 0.3
    n_sentences: int = 200
    chosen: int = 4
    shift: float = 0.0
    closeness_of_scores: float = 0.5
    test_every_k: bool = False
    train_limit: int | None = None
    select_on: str = "source-dev"


def write_store(folder: Path, *fakes: Fake) -> int:
    """Writes the cells of each description into a store; returns their number."""
    found = 0
    for fake in fakes:
        for model, combine, method, tenths, arm, seed in product(
            fake.models, fake.combine, fake.methods, fake.tenths, fake.arms, fake.seeds
        ):
            for sources, targets in _pairs(fake):
                facts = _facts(fake, model, combine, method, tenths, arm, seed, sources, targets)
                found += 1
                _write(folder, fake, facts)
    return found


def _pairs(fake: Fake) -> list[tuple[list[str], list[str]]]:
    if fake.setting == "cross-lingual":
        return [([s], [t for t in fake.targets if _language(t) != _language(s)]) for s in fake.sources]
    if fake.setting == "multi-source":
        return [([s for s in fake.targets if s != target], [target]) for target in fake.targets]
    return [([s, t], [t]) for s in fake.sources for t in fake.targets if _language(t) != _language(s)]


def _facts(
    fake: Fake,
    model: str,
    combine: str,
    method: str,
    tenths: int | None,
    arm: str,
    seed: int,
    sources: list[str],
    targets: list[str],
) -> StudyCellFacts:
    return StudyCellFacts(
        task=fake.task,
        model=model,
        revision=None,
        setting=fake.setting,
        sources=sources,
        targets=targets,
        method=method,
        normalisation="none",
        protocol=fake.protocol,
        rank_on="sources",
        combine=combine,
        target_tenths=tenths,
        train_limit=fake.train_limit,
        search=fake.search,
        select_on=fake.select_on,
        train=TrainSpec(seed=seed),
        arm=arm,
        data=None,
        columns=None,
        scheme=None,
        strict=False,
        unseen_labels=None,
    )


def _write(folder: Path, fake: Fake, facts: StudyCellFacts) -> None:
    name = fingerprint(facts.model_dump(mode="json"))
    ks = [0] if facts.arm == NOISE else list(GRID) if fake.test_every_k else sorted({0, fake.chosen})
    nested = fake.search.how == "nested" and facts.arm != NOISE
    counts: dict[str, NDArray[np.int64]] = {}
    for target in facts.targets:
        base, gained, stream = _accuracy(facts, target), _gained(fake, facts, target), _stream(replace_arm(facts), target)
        for k in ks:
            shift = fake.shift if nested and k else 0.0
            kind = "nested" if nested and k not in (0, fake.chosen) else "test"
            counts[counts_key(target, k, kind=kind)] = _drawn(fake, target, base + (gained + shift if k else 0.0), stream)
        if nested:
            counts[counts_key(target, 0, kind="nested")] = _drawn(fake, target, base + fake.shift, stream)
    language = {corpus: _language(corpus) for corpus in (*facts.sources, *facts.targets)}
    dev = {str(k): {facts.sources[0]: 80.0 + _dev_bump(fake, k)} for k in ([0] if facts.arm == NOISE else GRID)}
    record = StudyCellRecord(
        cell=facts,
        language=language,
        result=None if facts.arm == NOISE else _result(fake, facts, counts, dev, language),
        dev=dev,
        tested=ks,
        data=[],
        model_hash="a" * 64,
        stages={"training": 1, "scoring": 1},
        environment={"python": "3.12", "processors": 2},
        seconds={"fine-tuning": 60.0, "ranking": 5.0, "screening": 1.0, "testing": 2.0},
        made_in=[
            StageSeconds(stage=fingerprint([*facts.sources, facts.train.seed]), kind="fine-tuning", seconds=60.0),
            StageSeconds(stage=fingerprint([*facts.sources, facts.train.seed]), kind="testing", seconds=2.0),
        ],
        counts_sha256="",
    )
    write_cell(folder / CELLS, name, record, counts)


def _result(
    fake: Fake,
    facts: StudyCellFacts,
    counts: Mapping[str, NDArray[np.int64]],
    dev: Mapping[str, Mapping[str, float]],
    language: Mapping[str, str],
) -> CellRecord:
    task = TASKS[fake.task]

    def figures(target: str, k: int, kind: str = "test") -> dict[str, float]:
        return {task.metric: 100 * float(metric_from_counts(task, counts[counts_key(target, k, kind=kind)].sum(axis=0)))}

    scores = _scores(fake, facts)
    order = [f"{place // SHAPE[1]}.{place % SHAPE[1]}" for place in np.argsort(scores.ravel())]
    return CellRecord(
        seed=facts.train.seed,
        arm=facts.arm,
        fit="0123456789abcdef",
        scores=jsonable(scores),
        ranking=order,
        ranking_cost=RankingCost(
            method=facts.method, seconds=5.0, forward_passes=1.0, backward_passes=1.0, units=100, settings={}
        ),
        screen=None,
        standard_error=None,
        trials=[
            TrialRecord(k=k, heads=order[:k], dev=dev[str(k)][facts.sources[0]], seconds=60.0 if not k else 0.0) for k in GRID
        ],
        chosen=fake.chosen,
        chosen_reason="scores highest",
        fine_tunings=2,
        targets=[
            TargetRecord(
                name=target,
                language=language[target],
                n_words=int(counts[counts_key(target, 0)][:, 1].sum()),
                k=fake.chosen,
                unpruned=figures(target, 0),
                pruned=figures(target, fake.chosen),
                nested_unpruned=figures(target, 0, "nested") if fake.search.how == "nested" else None,
            )
            for target in facts.targets
        ],
    )


def _dev_bump(fake: Fake, k: int) -> float:
    """Rises to the chosen k and falls after it."""
    return 0.1 * min(k, fake.chosen) - 0.2 * max(0, k - fake.chosen)


def _accuracy(facts: StudyCellFacts, target: str) -> float:
    spread = crc32(f"{facts.model} {target}".encode()) % 30
    rng = np.random.default_rng(_stream(replace_arm(facts), target))
    return (60.0 if facts.setting == "cross-lingual" else 70.0) + spread * 0.5 + float(rng.normal(0, 0.5))


def replace_arm(facts: StudyCellFacts) -> StudyCellFacts:
    """The ranked cell, whose unpruned model the other arms share."""
    return facts.model_copy(update={"arm": "ranked"})


def _gained(fake: Fake, facts: StudyCellFacts, target: str) -> float:
    rng = np.random.default_rng((_stream(facts, target), 1))
    mean = fake.gain(facts.sources[0], target) if facts.arm == "ranked" else 0.0
    return mean + float(rng.normal(0, fake.seed_sd))


def _stream(facts: StudyCellFacts, target: str) -> int:
    said: list[Any] = [facts.task, facts.model, facts.setting, *facts.sources, target, facts.target_tenths, facts.train.seed]
    return crc32(" ".join(map(str, [*said, facts.method, facts.combine, facts.arm])).encode())


def _drawn(fake: Fake, target: str, points: float, stream: int) -> NDArray[np.int64]:
    """Counts of a test set whose words (or spans) are right this often; the sentences are the same for every model."""
    words = np.random.default_rng(crc32(target.encode())).integers(5, 25, fake.n_sentences)
    uniform = np.random.default_rng(stream).random((fake.n_sentences, 24))
    right = ((uniform < points / 100) & (np.arange(24) < words[:, None])).sum(axis=1)
    columns = [right, words, words]
    return np.stack([*columns[:2], right // 2, words // 2, words // 2] if TASKS[fake.task].kind == "tag" else columns, axis=1)


def _scores(fake: Fake, facts: StudyCellFacts) -> NDArray[np.float64]:
    def drawn(*said: object) -> NDArray[np.float64]:
        return np.random.default_rng(crc32(" ".join(map(str, said)).encode())).random(SHAPE)

    if facts.arm == "random":
        return drawn("random", facts.train.seed)
    shared, own = drawn("shared"), drawn(_language(facts.sources[0]))
    found = (
        fake.closeness_of_scores * shared + (1 - fake.closeness_of_scores) * own + 0.2 * drawn(facts.sources[0], facts.train.seed)
    )
    return -found if facts.arm == "highest" else found


def _language(corpus: str) -> str:
    return CORPORA[corpus].language if corpus in CORPORA else corpus.partition("=")[0]


def changed(fake: Fake, **values: Any) -> Fake:
    """The description with other values."""
    return replace(fake, **values)
