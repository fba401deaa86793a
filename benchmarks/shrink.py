"""What a speed-up costs in five languages: ordinary fine-tunings made faster without training, beside five baselines.

    python benchmarks/shrink.py cells [--seeds 42] [--rules joint]   # several processes may run beside one another
    python benchmarks/shrink.py table                                # seconds; writes results/shrink.json
    python benchmarks/shrink.py --list                               # what is there and what is not

The encoder of `e5.py` fine-tuned on 2,000 sentences of EWT (drawn by seed 42, three epochs, the default settings). Each of them
is asked to be 1.5, 2 and 3 times as fast on batches of 1 × 32 and 32 × 128 subwords, by every rule of `plan_search.RULES`: ours
(`joint`), the same scores spread evenly (`uniform`), magnitudes, one-shot |gradient| as TextPruner's procedure, random heads
and neurons, and whole layers at even distances. Heads and neurons are scored on half of 512 dev sentences of each language, or
half of all where there are fewer. Every plan is finished twice: pruned only, and with the repair `refit`. Cells `size` ask for
35 % of the bytes with a vocabulary trimmed to the training text of the five languages.

A cell holds correct and scored words of every test sentence, before and after; heads and neurons of every layer; milliseconds of
both models, which run in turn; the same predicted; and CPU seconds of the search. A latency table is measured once per shape of
batch and kept in the user's cache folder; run the cells of one comparison on an idle machine, because times are measured. Stopped
work continues from its last round; finished cells in results/shrink_cells are kept.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from cell_jobs import run_stage, stage_parser, write_table
from e5 import accuracy, cell_file, fine_tuned, keep, kept, tokenizer
from environment import RESULTS, SHARED
from numpy.typing import NDArray
from treebanks import LABELS, POS, TREEBANKS, WORK
from vocabulary import text

from polyhead.compression.latency import cached_latency
from polyhead.compression.latency_table import LatencyTable
from polyhead.compression.plan_search import RULES
from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.data.corpus_table import Split
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.models.devices import pick_precision
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.saving import save_pruned
from polyhead.selection.statistics import holm, mean_gain
from polyhead.studies.shrink_spec import ShrinkSpec
from polyhead.studies.shrink_steps import compared_ms, corrected, finished, searched
from polyhead.studies.shrink_work import check_tagger, prepared, timed
from polyhead.studies.tagger import Tagger

CELLS = RESULTS / "shrink_cells"
LANGUAGES = ("en", "de", "zh", "ar", "ja")
SEEDS = tuple(range(42, 47))
REPAIRS = ("none", "refit")
SPEEDS = (1.5, 2.0, 3.0)
SHAPES = ((1, 32), (32, 128))
SIZE = 0.35


@dataclass(frozen=True)
class Design:
    """How much text is read.

    Attributes:
        train: Sentences of the fine-tuning.
        dev: Sentences of dev, half of which plans are scored on; None for all.
        test: Those of test.
        scored: Sentences per language that heads and neurons are scored on.
    """

    train: int = 2000
    dev: int | None = 512
    test: int | None = None
    scored: int = 256


DESIGN = Design()
TRIAL = Design(train=32, dev=16, test=16, scored=8)
"""Of `--try`: whether everything runs."""


def cell(name: str, folder: Path = CELLS) -> Path:
    return cell_file(folder, name)


def split(language: str, which: Split, n: int | None) -> Dataset:
    return sample(open_corpus(TREEBANKS[language], which, root=SHARED / "data"), n, seed=42)


@cache
def tagger(seed: int, design: Design) -> Tagger:
    """The encoder fine-tuned with a seed; trained once and kept."""
    folder = WORK / "shrink" / f"{design.train}.{seed}"
    if not (folder / "config.json").is_file():
        spec, unfinished = TrainSpec(seed=seed), WORK / f"shrink.{design.train}.{seed}.partial"
        model = fine_tuned(spec, sentences=design.train, resume_file=unfinished)
        precision = pick_precision("auto", model.device)
        choice = EncodingChoice(
            anchor=spec.anchor, max_length=spec.max_length, precision=precision, words="surface", task=POS.name
        )
        folder.parent.mkdir(parents=True, exist_ok=True)
        save_pruned(model, folder, tokenizer=tokenizer(), encoding=choice, overwrite=True)
        unfinished.unlink(missing_ok=True)
    return Tagger.load(folder, labels=LABELS)


@cache
def latency(shape: tuple[int, int], seed: int, design: Design) -> LatencyTable:
    own = tagger(seed, design)
    return cached_latency(own.model, batch=shape[0], length=shape[1], precision=own.precision)


@dataclass(frozen=True)
class Job:
    """One cell.

    Attributes:
        rule: How the plan is chosen.
        speedup: Times as fast; None for a cell of the size.
        shape: Sentences and subwords of the batch.
        seed: Of the fine-tuning, and of random scores.
    """

    rule: str
    speedup: float | None
    shape: tuple[int, int]
    seed: int

    @property
    def name(self) -> str:
        """Of its file."""
        what = "size" if self.speedup is None else f"{self.speedup:g}x.{self.shape[0]}x{self.shape[1]}"
        return f"{self.rule}.{what}.{self.seed}"

    def spec(self, design: Design) -> ShrinkSpec:
        """What is asked for."""
        asked: dict[str, Any] = {"size": SIZE} if self.speedup is None else {"speedup": self.speedup}
        batch, length = self.shape
        return ShrinkSpec(**asked, batch=batch, length=length, rule=self.rule, seed=self.seed, scored=design.scored)


def jobs(seeds: Sequence[int], rules: Sequence[str]) -> Iterator[Job]:
    """All cells, most urgent first: the 2× claim of ours and of every baseline in each seed."""
    for speedup in sorted(SPEEDS, key=lambda own: own != 2.0):
        for shape in reversed(SHAPES):
            for seed in seeds:
                yield from (Job(rule, speedup, shape, seed) for rule in rules)
    yield from (Job("joint", None, SHAPES[-1], seed) for seed in seeds if "joint" in rules)


def do(job: Job, design: Design, path: Path) -> None:
    """One search, finished with and without repair, counted on the tests, for one cell."""
    given, spec, unfinished = tagger(job.seed, design), job.spec(design), WORK / f"shrink.{job.name}.partial"
    dev = {language: split(language, "dev", design.dev) for language in LANGUAGES}
    texts = {language: text(language) for language in LANGUAGES} if job.speedup is None else {}
    work = prepared(given, dev, spec, start=check_tagger(given), texts=texts, progress=None)
    if job.speedup is not None:
        work = timed(work, latency(job.shape, job.seed, design))
    started = time.process_time()
    rounds = searched(work, unfinished, None)
    if spec.times:
        rounds = corrected(work, rounds, None)
    plan = rounds[-1].plan if rounds else work.start
    found: dict[str, NDArray[Any]] = {
        "heads": np.array([heads for heads, _ in plan.counts]),
        "neurons": np.array([neurons for _, neurons in plan.counts]),
        "search/cpu_ms": np.array([round(1e3 * (time.process_time() - started))]),
        "bytes": np.array([work.bytes_before, round(work.sizes.of(plan.counts))]),
    }
    tests = {language: split(language, "test", design.test) for language in LANGUAGES}
    found |= {f"before/{name}": own for name, own in _counts(given, tests).items()}
    for repair in REPAIRS:
        started = time.process_time()
        small = finished(replace(work, spec=replace(spec, repair=repair)), plan, None)
        found[f"{repair}/cpu_ms"] = np.array([round(1e3 * (time.process_time() - started))])
        found |= {f"{repair}/{name}": own for name, own in _counts(small, tests).items()}
    if work.times is not None:
        predicted = [work.times.of(own.counts) for own in (work.start, plan)]
        found["us/predicted"] = np.array([round(1e3 * own) for own in predicted])
        found["us/measured"] = np.array([round(1e3 * own) for own in compared_ms(given, small, spec)])
    keep(path, found)
    unfinished.unlink(missing_ok=True)


def _counts(own: Tagger, tests: dict[str, Dataset]) -> dict[str, NDArray[np.int64]]:
    return {name: found.counts[:, :2].astype(np.int64) for name, found in own.evaluate(dict(tests)).items()}


def table(seeds: Sequence[int], folder: Path = CELLS) -> dict[str, Any]:
    """Every rule, speed, shape of batch and repair with at least one seed; and what `joint` gains over each baseline."""
    found: dict[str, Any] = {}
    for speedup in (*SPEEDS, None):
        for shape in SHAPES if speedup is not None else SHAPES[-1:]:
            key = "size" if speedup is None else f"{speedup:g}x, {shape[0]} x {shape[1]}"
            own = {rule: _seeds(rule, speedup, shape, seeds, folder) for rule in RULES}
            rows = {rule: _row(there) for rule, there in own.items() if there}
            if rows:
                found[key] = {"rules": rows, "joint over": _contrasts(own)}
    return found


Cells = dict[int, dict[str, NDArray[np.int64]]]
"""The cells of one row by seed."""


def _seeds(rule: str, speedup: float | None, shape: tuple[int, int], seeds: Sequence[int], folder: Path) -> Cells:
    paths = {seed: cell(Job(rule, speedup, shape, seed).name, folder) for seed in seeds}
    return {seed: kept(path) for seed, path in paths.items() if path.is_file()}


def _row(there: Cells) -> dict[str, Any]:
    cells = list(there.values())
    row: dict[str, Any] = {"seeds": list(there)}
    for repair in REPAIRS:
        lost = {language: _gain(there, repair, "before", language) for language in LANGUAGES}
        worst = max(-own["points"] for own in lost.values())
        row[repair] = {"gain": lost, "worst_language_loses": worst, "cpu_seconds": _seconds(cells, f"{repair}/cpu_ms")}
    row["search_cpu_seconds"] = _seconds(cells, "search/cpu_ms")
    row["share_of_bytes"] = float(np.median([own["bytes"][1] / own["bytes"][0] for own in cells]))
    if all("us/measured" in own for own in cells):
        for kind in ("predicted", "measured"):
            row[f"speedup_{kind}"] = [float(own[f"us/{kind}"][0] / own[f"us/{kind}"][1]) for own in cells]
    row["heads"], row["neurons"] = (np.mean([own[name] for own in cells], axis=0).tolist() for name in ("heads", "neurons"))
    return row


def _seconds(cells: Sequence[dict[str, NDArray[np.int64]]], name: str) -> float:
    return float(np.median([own[name][0] for own in cells]) / 1e3)


def _gain(there: Cells, one: str, other: str, language: str) -> dict[str, Any]:
    """Points of `one` over `other` in a language, the mean over seeds."""
    return _difference(
        [own[f"{one}/{language}"] for own in there.values()], [own[f"{other}/{language}"] for own in there.values()]
    )


def _difference(one: Sequence[NDArray[np.int64]], other: Sequence[NDArray[np.int64]]) -> dict[str, Any]:
    found = mean_gain([(np.stack(one), np.stack(other))], accuracy, seed=1)
    interval = found.interval
    return {
        "points": found.value,
        "low": None if interval is None else interval.low,
        "high": None if interval is None else interval.high,
        "p": found.p,
    }


def _contrasts(own: dict[str, Cells]) -> dict[str, Any]:
    """What `joint` gains over each baseline in the seeds that both have; p corrected within the table."""
    found: dict[str, Any] = {}
    for rule, there in own.items():
        shared = [seed for seed in own["joint"] if seed in there]
        if rule == "joint" or not shared:
            continue
        for repair in REPAIRS:
            name = {language: f"{repair}/{language}" for language in LANGUAGES}
            found[f"{rule}, {repair}"] = {
                language: _difference(
                    [own["joint"][seed][name[language]] for seed in shared], [there[seed][name[language]] for seed in shared]
                )
                for language in LANGUAGES
            }
    every = [row for rows in found.values() for row in rows.values() if row["p"] is not None]
    for row, p in zip(every, holm([row["p"] for row in every]), strict=True):
        row["p_holm"] = p
    return found


def trial() -> dict[str, Any]:
    """Three small cells, and their table."""
    folder = WORK / "shrink-trial"
    for rule, speedup in (("joint", 1.5), ("half-layers", 1.5), ("joint", None)):
        job = Job(rule, speedup, SHAPES[0] if speedup else SHAPES[-1], SEEDS[0])
        do(job, TRIAL, cell(job.name, folder))
    return table(SEEDS[:1], folder)


def main() -> None:
    parser = stage_parser(__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--rules", nargs="+", choices=list(RULES), default=list(RULES))
    options = parser.parse_args()
    wanted = jobs(options.seeds, options.rules)
    cells = {cell(job.name): partial(do, job, DESIGN, cell(job.name)) for job in wanted}

    def write() -> Path:
        return write_table("shrink", __doc__, seed=SEEDS[0], asked=table(options.seeds))

    run_stage(parser, options, cells, table=write, trial=trial)


if __name__ == "__main__":
    main()
