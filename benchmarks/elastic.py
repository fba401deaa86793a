"""One fine-tuning for every size against the same plans trained one by one, in five languages.

    python benchmarks/elastic.py cells [--seeds 42] [--taught 0 0.5]   # several processes may run beside one another
    python benchmarks/elastic.py table                               # seconds; writes results/elastic.json
    python benchmarks/elastic.py --list                              # what is there and what is not

The encoder of `e5.py` and the ordinary fine-tunings of `shrink.py` (2,000 sentences of EWT, three epochs). `elastic` scores an
ordinary fine-tuning on 256 dev sentences of EWT, chooses 33 nested plans down to 3 times the speed on batches of 32 × 128
subwords, and fine-tunes the encoder anew, every sentence under one of them. It is then asked for 1.5, 2 and 3 times the speed on
batches of 32 × 128 and of 1 × 32, which takes no training. `alone` prunes the encoder to the plan that `elastic` takes on
32 × 128 before it fine-tunes it with the same settings: one fine-tuning per plan and seed. Three seeds, and five at twice the
speed. A small batch gains less than a large one, so the smallest plan need not reach 3 times there; such speeds are left out.
Variants give another share of the loss to the whole model's predictions (`--taught`).

A cell holds correct and scored words of every test sentence, heads and neurons of every layer, predicted and measured
milliseconds, and the seconds of training. Times are measured: run the cells of one comparison on an idle machine. Stopped work
continues from its last step; finished cells in results/elastic_cells are kept.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import shrink
from cell_jobs import run_stage, stage_parser, write_table
from e5 import cell_file, encoder, keep, kept, labelled
from environment import RESULTS
from numpy.typing import NDArray
from shrink import LANGUAGES, SHAPES, SPEEDS, TRIAL, Design, split
from treebanks import LABELS, WORK

from polyhead.compression.latency_table import LatencyTable
from polyhead.core.errors import SettingError
from polyhead.core.neurons import Plan
from polyhead.core.specs import TrainSpec
from polyhead.learning.teaching import Teacher
from polyhead.models.loading import load_tagger
from polyhead.models.pruning import prune
from polyhead.selection.statistics import holm
from polyhead.studies.elastic import elastic_plans
from polyhead.studies.elastic_spec import ElasticSpec
from polyhead.studies.shrink_spec import ShrinkSpec
from polyhead.studies.shrink_steps import compared_ms, finished, searched
from polyhead.studies.shrink_work import check_tagger, prepared, timed
from polyhead.studies.tagger import Tagger

CELLS = RESULTS / "elastic_cells"
SEEDS = (42, 43, 44)
MORE_SEEDS = (45, 46)  # at twice the speed
TRAINED_FOR = SHAPES[-1]
TAUGHT = ElasticSpec().taught
SHARES = (TAUGHT, 0.5)


@dataclass(frozen=True)
class Job:
    """One cell: the elastic fine-tuning of a seed, or the plan of one speed trained alone.

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

    def path(self, folder: Path = CELLS) -> Path:
        """Its file."""
        return cell_file(folder, self.name)


def jobs(seeds: Sequence[int], taught: Sequence[float]) -> Iterator[Job]:
    """All cells, most urgent first: twice the speed in each seed, then the other speeds, then variants."""
    for seed in seeds:
        yield Job(seed)
        yield Job(seed, 2.0)
    few = [seed for seed in seeds if seed in SEEDS]
    yield from (Job(seed, speed) for speed in SPEEDS if speed != 2.0 for seed in few)
    yield from (Job(seed, taught=own) for own in taught if own != TAUGHT for seed in few)


def elastic_spec(design: Design, taught: float) -> ElasticSpec:
    batch, length = TRAINED_FOR
    return ElasticSpec(speedup=max(SPEEDS), batch=batch, length=length, taught=taught, scored=design.scored)


def elastic_tagger(job: Job, design: Design) -> tuple[Tagger, float]:
    """The tagger fine-tuned under plans, and the processor seconds since its last stop; trained once and kept."""
    folder, started = WORK / "elastic" / f"{design.train}.{replace(job, alone=None).name}", time.process_time()
    seconds = folder.with_name(f"{folder.name}.seconds")
    if not (folder / "config.json").is_file():
        given, spec, train = shrink.tagger(job.seed, design), elastic_spec(design, job.taught), TrainSpec(seed=job.seed)
        states = [WORK / f"{folder.name}.{end}.partial" for end in ("plans", "fit")]
        table, dev = shrink.latency(TRAINED_FOR, job.seed, design), split("en", "dev", None)
        plans = elastic_plans(given, dev, spec, table=table, seed=job.seed, resume_file=states[0])
        found = _new(given, train)
        text = labelled("en", "train", n=design.train)
        found.fit(text, spec=train, nested=plans, teacher=Teacher(spec.taught), resume_file=states[1])
        folder.parent.mkdir(parents=True, exist_ok=True)
        found.save(folder, overwrite=True)
        seconds.write_text(f"{time.process_time() - started:.0f}", encoding="utf-8")
        for file in states:
            file.unlink(missing_ok=True)
    return Tagger.load(folder, labels=LABELS), float(seconds.read_text(encoding="utf-8"))


def _new(given: Tagger, train: TrainSpec, plan: Plan | None = None) -> Tagger:
    """The pre-trained encoder with a new classifier, pruned to a plan."""
    model = load_tagger(str(encoder()), labels=LABELS, seed=train.seed).to(given.device)
    if plan is not None:
        prune(model, plan.heads, neurons=plan.neurons)
    return replace(given, model=model, nested=(), plans=None)


def taken(given: Tagger, speedup: float, shape: tuple[int, int], table: LatencyTable) -> tuple[Tagger, ShrinkSpec, list[float]]:
    """What the elastic tagger becomes at a speed, and milliseconds before and after as predicted."""
    spec = ShrinkSpec(speedup=speedup, batch=shape[0], length=shape[1], scored=1)
    dev = {"en": split("en", "dev", 1)}
    work = timed(prepared(given, dev, spec, start=check_tagger(given), texts={}, progress=None), table)
    rounds = searched(work, None, None)
    plan = rounds[-1].plan if rounds else work.start
    return finished(work, plan, None), spec, [table.predict(own.counts) for own in (work.start, plan)]


def do(job: Job, design: Design, path: Path) -> None:
    """One cell."""
    given, seconds = elastic_tagger(job, design)
    tests = {language: split(language, "test", design.test) for language in LANGUAGES}
    tables = {shape: shrink.latency(shape, job.seed, design) for shape in SHAPES}
    if job.alone is not None:
        small, _, _ = taken(given, job.alone, TRAINED_FOR, tables[TRAINED_FOR])
        keep(path, {**_alone(job, design, _plan(small), tests), **_counts_of(small)})
        return
    found: dict[str, NDArray[Any]] = {"cpu_seconds": np.array([round(seconds)])}
    found |= _tested("whole", given, tests)
    found |= _tested("ordinary", shrink.tagger(job.seed, design), tests)
    for shape in SHAPES:
        for speedup in SPEEDS:
            name = f"{speedup:g}x.{shape[0]}x{shape[1]}"
            try:
                small, spec, predicted = taken(given, speedup, shape, tables[shape])
            except SettingError as error:  # a small batch gains less than the large one that the plans were chosen for
                print(f"{job.name}: {error}", file=sys.stderr)
                continue
            found |= _tested(name, small, tests)
            found |= {f"{name}/{what}": own for what, own in _counts_of(small).items()}
            found[f"{name}/us/predicted"] = np.array([round(1e3 * own) for own in predicted])
            found[f"{name}/us/measured"] = np.array([round(1e3 * own) for own in compared_ms(given, small, spec)])
    keep(path, found)


def _plan(small: Tagger) -> Plan:
    return check_tagger(small)


def _counts_of(small: Tagger) -> dict[str, NDArray[Any]]:
    heads, neurons = zip(*_plan(small).counts, strict=True)
    return {"heads": np.array(heads), "neurons": np.array(neurons)}


def _alone(job: Job, design: Design, plan: Plan, tests: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The counts of the plan fine-tuned alone."""
    train, state, started = TrainSpec(seed=job.seed), WORK / f"elastic.{design.train}.{job.name}.partial", time.process_time()
    own = _new(shrink.tagger(job.seed, design), train, plan)
    own.fit(labelled("en", "train", n=design.train), spec=train, resume_file=state)
    found = {"cpu_seconds": np.array([round(time.process_time() - started)]), **_tested("alone", own, tests)}
    state.unlink(missing_ok=True)
    return found


def _tested(name: str, own: Tagger, tests: dict[str, Any]) -> dict[str, NDArray[Any]]:
    found = own.evaluate(dict(tests))
    return {f"{name}/{language}": each.counts[:, :2].astype(np.int64) for language, each in found.items()}


def table(seeds: Sequence[int], taught: Sequence[float], folder: Path = CELLS) -> dict[str, Any]:
    """By share taught: what the whole model gains over the ordinary one, and each speed over it and over the plan alone."""
    alone = {speed: _kept([Job(seed, speed) for seed in seeds], folder) for speed in SPEEDS}
    found: dict[str, Any] = {}
    for share in dict.fromkeys((TAUGHT, *taught)):
        own = _kept([Job(seed, taught=share) for seed in seeds], folder)
        if not own:
            continue
        rows: dict[str, Any] = {"seeds": list(own), "whole over ordinary": _gains(own, "whole", own, "ordinary")}
        for shape in SHAPES:
            for speed in SPEEDS:
                name = f"{speed:g}x.{shape[0]}x{shape[1]}"
                reached = {seed: cell for seed, cell in own.items() if f"{name}/heads" in cell}
                if reached:
                    rows[name] = _row(name, reached, alone[speed] if shape == TRAINED_FOR else {})
        rows["cpu_seconds"] = float(np.median([each["cpu_seconds"][0] for each in own.values()]))
        found[f"taught {share:g}"] = rows
    every = [gain for rows in found.values() for gain in _every_gain(rows) if gain["p"] is not None]
    for gain, p in zip(every, holm([gain["p"] for gain in every]), strict=True):
        gain["p_holm"] = p
    return found


def _row(name: str, own: shrink.Cells, alone: shrink.Cells) -> dict[str, Any]:
    """One speed on one shape of batch, in the seeds that reached it."""
    row: dict[str, Any] = {"seeds": list(own), "over ordinary": _gains(own, name, own, "ordinary")}
    for kind in ("predicted", "measured"):
        row[f"speedup_{kind}"] = [float(before / after) for before, after in (each[f"{name}/us/{kind}"] for each in own.values())]
    if both := {seed: cell for seed, cell in own.items() if seed in alone}:
        row["over the plan alone"] = _gains(both, name, alone, "alone")
    for what in ("heads", "neurons"):
        row[what] = np.mean([each[f"{name}/{what}"] for each in own.values()], axis=0).tolist()
    return row


def _kept(wanted: Sequence[Job], folder: Path) -> shrink.Cells:
    return {job.seed: kept(job.path(folder)) for job in wanted if job.path(folder).is_file()}


def _gains(one: shrink.Cells, name: str, other: shrink.Cells, than: str) -> dict[str, Any]:
    return {
        language: shrink._difference(
            [one[seed][f"{name}/{language}"] for seed in one], [other[seed][f"{than}/{language}"] for seed in one]
        )
        for language in LANGUAGES
    }


def _every_gain(rows: Any) -> Iterator[dict[str, Any]]:
    if isinstance(rows, dict):
        if "p" in rows:
            yield rows
        else:
            for own in rows.values():
                yield from _every_gain(own)


def trial() -> dict[str, Any]:
    """Two small cells, and their table."""
    folder = WORK / "elastic-trial"
    for job in (Job(SEEDS[0]), Job(SEEDS[0], 2.0)):
        do(job, TRIAL, job.path(folder))
    return table(SEEDS[:1], [TAUGHT], folder)


def main() -> None:
    parser, every = stage_parser(__doc__), (*SEEDS, *MORE_SEEDS)
    parser.add_argument("--seeds", nargs="+", type=int, choices=every, default=list(every))
    parser.add_argument("--taught", nargs="+", type=float, default=list(SHARES), help="shares of the loss")
    options = parser.parse_args()
    cells = {job.path(): partial(do, job, shrink.DESIGN, job.path()) for job in jobs(options.seeds, options.taught)}

    def write() -> Path:
        return write_table("elastic", __doc__, seed=SEEDS[0], sizes=table(options.seeds, options.taught))

    run_stage(parser, options, cells, table=write, trial=trial)


if __name__ == "__main__":
    main()
