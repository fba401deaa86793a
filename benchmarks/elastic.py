"""One fine-tuning for every size against the same plans trained one by one, in five languages.

    python benchmarks/shrink.py latency                               # idle machine: the tables that every plan is chosen by
    python benchmarks/elastic.py cells [--seeds 42] [--taught 0 0.5]  # any machine, however busy; several processes
    python benchmarks/elastic.py times [--minutes 5]                  # idle machine, 5 to 30 seconds a plan; continues
    python benchmarks/elastic.py table                                # seconds; writes results/elastic.json
    python benchmarks/elastic.py --list                               # cells there and missing, and hours still needed

The encoder of `e5.py` and the ordinary fine-tunings of `shrink.py` (2,000 sentences of EWT, three epochs). `elastic` scores an
ordinary fine-tuning on 256 dev sentences of EWT, chooses 33 nested plans down to 3 times the speed on batches of 32 × 128
subwords, and fine-tunes the encoder anew, every sentence under one of them. It is then asked for 1.5, 2 and 3 times the speed on
batches of 32 × 128 and of 1 × 32, which takes no training. `alone` prunes the encoder to the plan that `elastic` takes on
32 × 128 before it fine-tunes it with the same settings: one fine-tuning per plan and seed. Three seeds, and five at twice the
speed. A small batch gains less than a large one, so the smallest plan need not reach 3 times there; such speeds have no row, and
`smallest` says how fast that plan is. `over rules` compares each speed with the plans that the rules of `shrink.py` choose from
the ordinary fine-tuning, distilled: same seeds, same tests, p corrected within the row. Its processor minutes count what is done
after the ordinary fine-tuning: the search for plans and the second fine-tuning here, search, repair and distillation there.
Variants (`taught`) give another share of the loss to the whole model's predictions.

A cell holds what the main metric of every test sentence needs, heads and neurons of every layer, and processor seconds of the
training (-1 if it was stopped) and of the search for plans (-1 also if another cell made it: variants share the plans of their
seed, which are kept in the folder of unfinished work). Plans are chosen by the kept latency tables, and measured by `times` (see
`plan_times.py`). Cells need the `before` cells of `shrink.py`; a stopped training continues; finished cells in
results/elastic_cells are kept.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import shrink
from cell_jobs import Job, run_stage, stage_parser, write_table
from e5 import cell_file, encoder, keep, kept
from environment import RESULTS
from filelock import FileLock
from numpy.typing import NDArray
from plan_times import Counts, Shape, shape_name, speeds, time_plans
from shrink import FEW, SECONDS_A_PASS, SEEDS, SPEEDS
from shrink_cells import (
    DESIGN,
    SETTINGS,
    SHAPES,
    Asked,
    Design,
    before_name,
    cells_of,
    counts_of,
    distilled_minutes,
    labelled_tests,
    named,
    plan_arrays,
    plan_of,
    tagger,
)
from shrink_rows import Cells, correct, difference, plan_counts, taken
from treebanks import LABELS, WORK

from polyhead.compression.latency_table import LatencyTable
from polyhead.compression.plan_choice import OutOfReachError
from polyhead.compression.plan_search import RULES
from polyhead.core.neurons import Plan
from polyhead.core.specs import TrainSpec
from polyhead.learning.teaching import Teacher
from polyhead.models.loading import load_tagger
from polyhead.models.pruning import prune
from polyhead.models.trained_plans import TrainedPlans
from polyhead.studies.elastic import elastic_plans
from polyhead.studies.elastic_spec import ElasticSpec
from polyhead.studies.shrink_spec import ShrinkSpec
from polyhead.studies.shrink_steps import finished, searched
from polyhead.studies.shrink_work import check_tagger, prepared, timed
from polyhead.studies.tagger import Tagger

CELLS = RESULTS / "elastic_cells"
UNFINISHED = WORK / "elastic"
POS = SETTINGS["pos"]
LANGUAGES = POS.languages
TRAINED_FOR = SHAPES[-1]
TAUGHT = ElasticSpec().taught
SHARES = (TAUGHT, 0.5)


@dataclass(frozen=True)
class Cell:
    """The elastic fine-tuning of a seed, or the plan of one speed trained alone.

    Attributes:
        seed: Of the fine-tuning.
        alone: The speed of the plan that is trained alone; None for the elastic fine-tuning.
        taught: Share of the loss that comes from the whole model's predictions.
    """

    seed: int
    alone: float | None = None
    taught: float = TAUGHT

    @property
    def name(self) -> str:
        """Of its file."""
        if self.alone is not None:
            return f"alone.{self.alone:g}x.{self.seed}"
        return f"elastic.{self.seed}" if self.taught == TAUGHT else f"elastic-{self.taught:g}.{self.seed}"

    @property
    def kind(self) -> str:
        """What it counts as in the estimate."""
        return "alone" if self.alone is not None else "elastic" if self.taught == TAUGHT else "taught"

    def path(self, folder: Path = CELLS) -> Path:
        """Its file."""
        return cell_file(folder, self.name)


def cells(seeds: Sequence[int], taught: Sequence[float]) -> Iterator[Cell]:
    """All cells, most urgent first: twice the speed in each seed, then the other speeds, then variants."""
    for seed in seeds:
        yield Cell(seed)
        yield Cell(seed, 2.0)
    few = [seed for seed in seeds if seed in FEW]
    yield from (Cell(seed, speed) for speed in SPEEDS if speed != 2.0 for seed in few)
    yield from (Cell(seed, taught=own) for own in taught if own != TAUGHT for seed in few)


def jobs(wanted: Sequence[Cell], design: Design = DESIGN, folder: Path = CELLS) -> list[Job]:
    """The work of cells, each elastic one after the unpruned tagger, and each plan alone after the elastic one."""
    trained, tested = 3 * 3 * design.train, shrink.TESTED["pos"]
    found = []
    for own in wanted:
        if own.alone is None:
            needs = design.cell(before_name("pos", own.seed))
            cost = trained * (1.3 if own.taught else 1.0) + 24 * 256 + tested * (1 + 2 * sum(1 / speed for speed in SPEEDS))
            found.append(Job(own.kind, own.name, (needs,), partial(elastic, own, design, folder), cost))
        else:
            cost = (trained + tested) / own.alone
            found.append(Job(own.kind, own.name, (Cell(own.seed).path(folder),), partial(alone, own, design, folder), cost))
    return found


def elastic_spec(design: Design, taught: float) -> ElasticSpec:
    batch, length = TRAINED_FOR
    return ElasticSpec(speedup=max(SPEEDS), batch=batch, length=length, taught=taught, scored=design.scored)


def elastic(own: Cell, design: Design, folder: Path, resume_file: Path) -> None:
    """The tagger fine-tuned under plans, whole and at every speed that it reaches."""
    data, given = labelled_tests("pos", own.seed, design), tagger("pos", own.seed, design)
    spec, train = elastic_spec(design, own.taught), TrainSpec(seed=own.seed)
    plans, searched_for = nested_plans(given, own.seed, spec, design)
    continues, started = resume_file.exists(), time.process_time()
    sizes = _new(given, train)
    text = POS.split("en", "train", design.train)
    sizes.fit(text, spec=train, nested=plans, teacher=Teacher(spec.taught), resume_file=resume_file)
    spent = -1 if continues else round(time.process_time() - started)
    found: dict[str, NDArray[Any]] = {
        "plans/cpu_seconds": np.array([searched_for]),
        "cpu_seconds": np.array([spent]),
        **named("smallest", plan_arrays(plans.plans[-1])),
        **named("whole", counts_of(sizes, data)),
    }
    for shape in SHAPES:
        for speedup in SPEEDS:
            name = row_name(speedup, shape)
            try:
                small = taken_at(sizes, speedup, shape, design.table(shape))
            except OutOfReachError as error:  # a small batch gains less than the large one that the plans were chosen for
                print(f"{own.name}: {error}", file=sys.stderr)
                continue
            found |= named(name, {**counts_of(small, data), **plan_arrays(check_tagger(small))})
    keep(own.path(folder), found)


def nested_plans(given: Tagger, seed: int, spec: ElasticSpec, design: Design) -> tuple[TrainedPlans, int]:
    """The plans of a seed, the same for any share taught, and processor seconds of their search; -1 if not all of it was here."""
    file = UNFINISHED / f"plans.{design.train}.{seed}"
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f"{file.name}.lock")):
        continues, started = file.exists(), time.process_time()
        table, dev = design.table(TRAINED_FOR), POS.split("en", "dev", design.dev if design.tables else None)
        plans = elastic_plans(given, dev, spec, table=table, seed=seed, resume_file=file)
    return plans, -1 if continues else round(time.process_time() - started)


def row_name(speedup: float, shape: Shape) -> str:
    return f"{speedup:g}x.{shape_name(shape)}"


def _new(given: Tagger, train: TrainSpec, plan: Plan | None = None) -> Tagger:
    """The pre-trained encoder with a new classifier, pruned to a plan."""
    model = load_tagger(str(encoder()), labels=LABELS, seed=train.seed).to(given.device)
    if plan is not None:
        prune(model, plan.heads, neurons=plan.neurons)
    return replace(given, model=model, nested=(), plans=None)


def taken_at(given: Tagger, speedup: float, shape: Shape, table: LatencyTable) -> Tagger:
    """What the elastic tagger becomes at a speed."""
    spec = ShrinkSpec(speedup=speedup, batch=shape[0], length=shape[1], scored=1)
    dev = {"en": POS.split("en", "dev", 2)}
    work = timed(prepared(given, dev, spec, start=check_tagger(given), texts={}, progress=None), table)
    rounds = searched(work, None, None)
    return finished(work, rounds[-1].plan if rounds else work.start, None)


def alone(own: Cell, design: Design, folder: Path, resume_file: Path) -> None:
    """The plan that the elastic tagger takes at a speed, pruned first and fine-tuned alone."""
    name = row_name(own.alone or 1.0, TRAINED_FOR)
    there = kept(Cell(own.seed).path(folder))
    parts = {key.removeprefix(f"{name}/"): each for key, each in there.items() if key.startswith(f"{name}/")}
    train, started, continues = TrainSpec(seed=own.seed), time.process_time(), resume_file.exists()
    given = tagger("pos", own.seed, design)
    small = _new(given, train, plan_of(parts, check_tagger(given)))
    small.fit(POS.split("en", "train", design.train), spec=train, resume_file=resume_file)
    spent = -1 if continues else round(time.process_time() - started)
    counts = counts_of(small, labelled_tests("pos", own.seed, design))
    keep(own.path(folder), {"cpu_seconds": np.array([spent]), **named("alone", counts)})


def timed_plans(seeds: Sequence[int], taught: Sequence[float], folder: Path = CELLS) -> Iterator[tuple[Shape, Counts]]:
    """Every plan that a finished elastic cell takes, and its smallest."""
    for own in cells(seeds, taught):
        if own.alone is None and own.path(folder).is_file():
            there = kept(own.path(folder))
            for shape in reversed(SHAPES):
                for speedup in SPEEDS:
                    if f"{(name := row_name(speedup, shape))}/heads" in there:
                        yield shape, plan_counts(there, f"{name}/")
                yield shape, plan_counts(there, "smallest/")


def table(seeds: Sequence[int], taught: Sequence[float], design: Design = DESIGN, folder: Path = CELLS) -> dict[str, Any]:
    """By share taught: what the whole model gains over the ordinary one, and each speed over it and over the plan alone."""
    ordinary = {seed: named("before", kept(path)) for seed in seeds if (path := design.cell(before_name("pos", seed))).is_file()}
    by_speed = {speed: _kept([Cell(seed, speed) for seed in seeds], folder) for speed in SPEEDS}
    found: dict[str, Any] = {}
    for share in dict.fromkeys((TAUGHT, *taught)):
        own = {
            seed: cell for seed, cell in _kept([Cell(seed, taught=share) for seed in seeds], folder).items() if seed in ordinary
        }
        if not own:
            continue
        rows: dict[str, Any] = {"seeds": list(own), "whole over ordinary": _gains(own, "whole", ordinary, "before")}
        for shape, speed in product(SHAPES, SPEEDS):
            name = row_name(speed, shape)
            if reached := {seed: cell for seed, cell in own.items() if f"{name}/heads" in cell}:
                rows[name] = _row(name, shape, reached, ordinary, by_speed[speed] if shape == TRAINED_FOR else {})
        smallest = {shape_name(shape): _speeds(shape, own, "smallest") for shape in SHAPES}
        rows |= {name: _median_seconds(own, name) for name in ("cpu_seconds", "plans/cpu_seconds")}
        found[f"taught {share:g}"] = rows | {"smallest": smallest}
    correct([gain for rows in found.values() for gain in _every_gain(rows)])
    if default := found.get(f"taught {TAUGHT:g}"):
        own = _kept([Cell(seed) for seed in default["seeds"]], folder)
        for shape, speed in product(SHAPES, SPEEDS):
            if (name := row_name(speed, shape)) in default:
                reached = {seed: own[seed] for seed in default[name]["seeds"]}
                default[name]["over rules"] = over_rules(reached, speed, shape, design)
    return found


def over_rules(own: Cells, speed: float, shape: Shape, design: Design) -> dict[str, Any]:
    """What the elastic plans of a speed gain over the distilled plan of each rule in the seeds that both have."""
    found: dict[str, Any] = {}
    name = row_name(speed, shape)
    for rule in RULES:
        cells = cells_of([Asked(rule, seed, speed, shape) for seed in own], design)
        theirs = {seed: cell for seed, cell in cells.items() if f"distil/{LANGUAGES[0]}" in cell}
        if not theirs:
            continue
        ours = {seed: own[seed] for seed in theirs}
        gain = {language: difference(ours, f"{name}/{language}", theirs, f"distil/{language}") for language in LANGUAGES}
        minutes = {"elastic": _minutes(ours), "rule": float(np.median([distilled_minutes(cell) for cell in theirs.values()]))}
        found[rule] = {"seeds": [*theirs], "gain": gain, "cpu_minutes": minutes}
    correct([each for facts in found.values() for each in facts["gain"].values()])
    return found


def _minutes(own: Cells) -> float | None:
    """Of the search for plans and the fine-tuning under them; None where either was stopped in every seed."""
    parts = [_median_seconds(own, name) for name in ("plans/cpu_seconds", "cpu_seconds")]
    return None if None in parts else sum(part or 0.0 for part in parts) / 60


def _median_seconds(own: Cells, name: str) -> float | None:
    spent = [float(each[name][0]) for each in own.values() if each[name][0] >= 0]
    return float(np.median(spent)) if spent else None


def _row(name: str, shape: Shape, own: Cells, ordinary: Cells, trained: Cells) -> dict[str, Any]:
    """One speed on one shape of batch, in the seeds that reached it."""
    row: dict[str, Any] = {"seeds": list(own), "over ordinary": _gains(own, name, ordinary, "before")}
    row |= _speeds(shape, own, name)
    if both := {seed: cell for seed, cell in own.items() if seed in trained}:
        row["over the plan alone"] = _gains(both, name, trained, "alone")
        row["seeds alone"] = list(both)
    return row | taken([*own.values()], f"{name}/")


def _speeds(shape: Shape, own: Cells, name: str) -> dict[str, list[float | None]]:
    """How many times as fast a plan of every seed is on a batch."""
    times = [speeds(shape, plan_counts(cell, f"{name}/")) for cell in own.values()]
    return {f"speedup_{kind}": [each[kind] for each in times] for kind in ("predicted", "measured")}


def _kept(wanted: Sequence[Cell], folder: Path) -> Cells:
    return {own.seed: kept(own.path(folder)) for own in wanted if own.path(folder).is_file()}


def _gains(one: Cells, name: str, other: Cells, than: str) -> dict[str, Any]:
    same = {seed: other[seed] for seed in one}
    return {language: difference(one, f"{name}/{language}", same, f"{than}/{language}") for language in LANGUAGES}


def _every_gain(rows: Any) -> Iterator[dict[str, Any]]:
    if isinstance(rows, dict):
        if "p" in rows:
            yield rows
        else:
            for own in rows.values():
                yield from _every_gain(own)


def trial() -> dict[str, Any]:
    """Two small cells, and their table."""
    design, folder = shrink.trial_design("shrink"), WORK / "elastic-trial"
    if not design.cell(before_name("pos", 42)).is_file():
        sys.exit("make the trial of shrink.py first: python benchmarks/shrink.py --try")
    for job in jobs([Cell(42), Cell(42, 2.0)], design, folder):
        UNFINISHED.mkdir(parents=True, exist_ok=True)
        job.work(UNFINISHED / f"trial.{job.name}.partial")
    return table(SEEDS[:1], [TAUGHT], design, folder)


def main() -> None:
    parser = stage_parser(__doc__, ["times"])
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--taught", nargs="+", type=float, default=list(SHARES), help="shares of the loss")
    parser.add_argument("--minutes", type=float, help="begin no plan after so many minutes of times")
    options = parser.parse_args()

    def write() -> Path:
        return write_table("elastic", __doc__, seed=SEEDS[0], sizes=table(options.seeds, options.taught))

    run_stage(
        parser,
        options,
        jobs([*cells(options.seeds, options.taught)]),
        CELLS,
        unfinished=UNFINISHED,
        seconds=SECONDS_A_PASS,
        table=write,
        trial=trial,
        stages={"times": lambda: time_plans(timed_plans(options.seeds, options.taught), minutes=options.minutes)},
    )


if __name__ == "__main__":
    main()
