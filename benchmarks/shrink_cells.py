"""The cells of `shrink.py`: taggers made faster or smaller by every rule, with and without repair, distilled, and in int8."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np
import torch
from e5 import cell_file, encoder, keep, kept
from environment import RESULTS, SHARED
from filelock import FileLock
from numpy.typing import NDArray
from plan_times import Shape, latency_table, shape_name
from round_trips import round_trips
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel
from treebanks import POS, TREEBANKS, WORK
from vocabulary import text

from polyhead.compression.checkpoint_size import checkpoint_bytes, weight_bytes
from polyhead.compression.latency_table import LatencyTable
from polyhead.compression.plan_choice import OutOfReachError
from polyhead.compression.plan_repair import pruned_to
from polyhead.compression.plan_search import RULES
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.data.corpus_table import Split
from polyhead.data.labels import label_set
from polyhead.data.sampling import holdout, sample
from polyhead.data.sentences import Dataset
from polyhead.data.tasks import Task, task
from polyhead.learning.inference import Evaluation, Labelled, evaluate
from polyhead.learning.metrics import metric_columns
from polyhead.models.graphs import open_graph
from polyhead.studies.distillation import distil_tagger, lines_with_words, state_files
from polyhead.studies.exporting import GraphClassifier, export
from polyhead.studies.shrink_spec import ShrinkSpec
from polyhead.studies.shrink_steps import finished, searched
from polyhead.studies.shrink_work import ShrinkWork, check_tagger, prepared, timed
from polyhead.studies.tagger import Tagger

CELLS = RESULTS / "shrink_cells"
UNFINISHED = WORK / "shrink"
SHAPES: tuple[Shape, ...] = ((1, 32), (32, 128))
SIZE = 0.35
WITHIN = 1.05
"""How far a measured speed may be from the one asked for."""
ROUND_TRIP = "round_trip_e9/"
"""Before the names of differences of logits, which cells hold as whole numbers of 1e-9."""
OUT_OF_REACH = "out_of_reach"
"""What a cell holds whose speed or size no plan has."""

Counts = Mapping[str, NDArray[np.int64]]
"""A cell: arrays by name."""


@dataclass(frozen=True)
class Setting:
    """A task, the languages that it is judged in, and how plans are finished.

    Attributes:
        task: The task.
        corpora: Corpus of each language, the source first.
        repairs: How every plan is finished.
        holds_out: Whether dev is a tenth of the training file, as `polyhead run` takes it where there is no dev file.
    """

    task: Task
    corpora: Mapping[str, str]
    repairs: tuple[str, ...]
    holds_out: bool = False

    @property
    def languages(self) -> tuple[str, ...]:
        """All languages, the source first."""
        return tuple(self.corpora)

    def split(self, language: str, which: Split, n: int | None) -> Dataset:
        """A seeded sample of a split."""
        corpus = self.corpora[language]
        if not self.holds_out or which == "test":
            return sample(open_corpus(corpus, which, root=SHARED / "data"), n, seed=42)
        train, dev = holdout(open_corpus(corpus, "train", root=SHARED / "data"), seed=42)
        return sample(dev if which == "dev" else train, n, seed=42)


SETTINGS = {
    "pos": Setting(POS, {language: TREEBANKS[language] for language in ("en", "de", "zh", "ar", "ja")}, ("none", "refit")),
    "ner": Setting(task("ner"), {language: f"wikineural/{language}" for language in ("en", "de")}, ("refit",), holds_out=True),
}


@dataclass(frozen=True)
class Design:
    """How much text is read, and for how long it is distilled.

    Attributes:
        train: Sentences of the fine-tuning.
        dev: Sentences of dev, half of which plans are scored on; None for all.
        test: Those of test.
        scored: Sentences per language that heads and neurons are scored on.
        minutes: Processor minutes of distillation.
        folder: Where cells are kept.
        tables: Latency tables instead of the measured ones, for a trial.
    """

    train: int = 2000
    dev: int | None = 512
    test: int | None = None
    scored: int = 256
    minutes: float = 10.0
    folder: Path = CELLS
    tables: Mapping[Shape, LatencyTable] | None = field(default=None, hash=False)

    def table(self, shape: Shape) -> LatencyTable:
        """The latency table of a batch."""
        return latency_table(shape) if self.tables is None else self.tables[shape]

    def cell(self, name: str) -> Path:
        """A cell's file."""
        return cell_file(self.folder, name)


DESIGN = Design()


@dataclass(frozen=True)
class Asked:
    """What a tagger is asked to become, and by which rule.

    Attributes:
        rule: How the plan is chosen.
        seed: Of the fine-tuning, and of random scores.
        speedup: Times as fast; None for any speed.
        shape: Sentences and subwords of the batch.
        size: Whether at most 35 % of the bytes are asked for, with the vocabulary of the languages' text.
        setting: Name of the setting.
    """

    rule: str
    seed: int
    speedup: float | None = None
    shape: Shape = SHAPES[-1]
    size: bool = False
    setting: str = "pos"

    @property
    def name(self) -> str:
        """Of its cell."""
        task = [] if self.setting == "pos" else [self.setting]
        speed = [] if self.speedup is None else [f"{self.speedup:g}x", shape_name(self.shape)]
        return ".".join([*task, self.rule, *speed, *(["size"] if self.size else []), str(self.seed)])

    @property
    def repairs(self) -> tuple[str, ...]:
        """How its plan is finished; for a size as a command does it alone, because the vocabulary may be all that goes."""
        return ("refit",) if self.size else SETTINGS[self.setting].repairs

    def spec(self, design: Design) -> ShrinkSpec:
        """The same as a command gets it.

        A rule that spreads evenly or takes whole layers has few plans near a speed, and the next one that is fast enough may be
        much faster than asked. It is asked for the least speed that counts as the one wanted, so that it prunes no more than it
        has to.
        """
        is_coarse = RULES[self.rule].spread != "joint"
        return ShrinkSpec(
            speedup=self.speedup / WITHIN if self.speedup is not None and is_coarse else self.speedup,
            size=SIZE if self.size else None,
            batch=self.shape[0],
            length=self.shape[1],
            rule=self.rule,
            seed=self.seed,
            scored=design.scored,
        )


def before_name(setting: str, seed: int) -> str:
    """The cell of the unpruned tagger."""
    return f"before.{seed}" if setting == "pos" else f"{setting}.before.{seed}"


@lru_cache(maxsize=1)
def tagger(setting: str, seed: int, design: Design) -> Tagger:
    """The encoder fine-tuned with a seed; trained once, by one process, and kept.

    Where its counts are there already, because cells were copied without this folder, it has to count the same: another machine
    may train other weights, and cells of two fine-tunings do not belong together.
    """
    folder = UNFINISHED / f"{setting}.{design.train}.{seed}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f"{folder.name}.lock")):
        if not (folder / "config.json").is_file():
            own, spec, state = SETTINGS[setting], TrainSpec(seed=seed), folder.with_name(f"{folder.name}.partial")
            train = own.split(own.languages[0], "train", design.train)
            new = Tagger.load(encoder(), task=own.task, labels=label_set(own.task, [train]), seed=seed)
            new.fit(train, spec=spec, resume_file=state)
            _refuse_other(new, setting, seed, design, folder)
            new.save(folder, overwrite=True)
            state.unlink(missing_ok=True)
    return Tagger.load(folder)


def _refuse_other(new: Tagger, setting: str, seed: int, design: Design, folder: Path) -> None:
    """Exit if the cells of this seed are of a fine-tuning that labels the tests otherwise."""
    path = design.cell(before_name(setting, seed))
    if not path.is_file():
        return
    there, now = kept(path), counts_of(new, tests(setting, design))
    if any(not np.array_equal(there[language], own) for language, own in now.items()):
        step = f"copy {folder} from where they were made, or delete this cell and all cells of the seed"
        sys.exit(f"{path}: this machine's fine-tuning with seed {seed} is another than that of the cells; {step}")


def tests(setting: str, design: Design) -> dict[str, Dataset]:
    own = SETTINGS[setting]
    return {language: own.split(language, "test", design.test) for language in own.languages}


@lru_cache(maxsize=1)
def labelled_tests(setting: str, seed: int, design: Design) -> dict[str, Labelled]:
    """The tests as the unpruned tagger reads them, and every smaller one with its vocabulary."""
    return read_by(tagger(setting, seed, design), tests(setting, design))


def read_by(own: Tagger, data: Mapping[str, Dataset]) -> dict[str, Labelled]:
    return {language: own.labelled(each) for language, each in data.items()}


def counts_of(own: Tagger, data: Mapping[str, Dataset | Labelled]) -> dict[str, NDArray[np.int64]]:
    """What the main metric of every sentence needs, by language."""
    return _main_counts(own.evaluate(dict(data)), own.task)


def _main_counts(found: Mapping[str, Evaluation], of_task: Task) -> dict[str, NDArray[np.int64]]:
    return {name: own.counts[:, metric_columns(of_task)].astype(np.int64) for name, own in found.items()}


def named(prefix: str, found: Counts) -> dict[str, NDArray[Any]]:
    return {f"{prefix}/{name}": own for name, own in found.items()}


def plan_arrays(plan: Plan) -> dict[str, NDArray[Any]]:
    """What a plan keeps, for a cell: numbers of every layer, and which heads and neurons."""
    heads, neurons = zip(*plan.counts, strict=True)
    return {
        "heads": np.array(heads),
        "neurons": np.array(neurons),
        "plan/heads": plan.heads.keep.astype(np.int64),
        "plan/neurons": np.packbits(plan.neurons.keep, axis=1),
    }


def plan_of(found: Counts, start: Plan) -> Plan:
    """A cell's plan."""
    bits = np.unpackbits(found["plan/neurons"].astype(np.uint8), axis=1, count=start.neurons.n_neurons)
    return Plan(HeadMask(found["plan/heads"].astype(bool), start.heads.group), NeuronMask(bits.astype(bool)))


def before(setting: str, seed: int, design: Design, _: Path, *, int8: bool = False) -> None:
    """The unpruned tagger, trained if need be and counted on the tests once, perhaps also as an ONNX graph in int8."""
    own, data = tagger(setting, seed, design), labelled_tests(setting, seed, design)
    found: dict[str, NDArray[Any]] = {**counts_of(own, data)}
    if int8:
        found |= {"bytes": np.array([checkpoint_bytes(own.model, own.tokenizer)]), **_in_int8(own, data)}
    keep(design.cell(before_name(setting, seed)), found)


def shrunk(asked: Asked, design: Design, _: Path, *, distils: bool = False) -> None:
    """One search by predicted milliseconds, finished in every way and counted on the tests. A stopped one begins again.

    Args:
        asked: What the tagger is to become.
        design: How much is read.
        distils: Whether the repaired tagger is kept, because it will be distilled.
    """
    try:
        given, work = _prepared(asked, design)
        search, rounds = _timed(lambda: searched(work, None, None))
    except OutOfReachError as error:  # other errors end the work, and leave no cell
        print(f"{asked.name}: {error}", file=sys.stderr)
        return keep(design.cell(asked.name), {OUT_OF_REACH: np.ones(1, dtype=np.int64)})
    plan = rounds[-1].plan if rounds else work.start
    found: dict[str, NDArray[Any]] = {**plan_arrays(plan), "search/cpu_ms": search}
    is_trimmed, small = work.tagger is not given, given
    data = read_by(work.tagger, tests(asked.setting, design)) if is_trimmed else labelled_tests(asked.setting, asked.seed, design)
    for repair in asked.repairs:
        own = replace(work, spec=replace(work.spec, repair=repair))
        found[f"{repair}/cpu_ms"], small = _timed(lambda own=own: finished(own, plan, None))  # type: ignore[misc]
        found |= named(repair, counts_of(small, data))
        if distils and repair == "refit":
            _keep_repaired(small, given, plan, repaired_file(asked, design))
    pruned = weight_bytes(work.tagger.model) - weight_bytes(small.model)
    found["bytes"] = np.array([work.bytes_before, round(work.sizes.of(work.start.counts)) - pruned])
    if asked.size:
        found |= _in_int8(small, data)
        found |= _differences(round_trips(small))
    return keep(design.cell(asked.name), found)


def _prepared(asked: Asked, design: Design) -> tuple[Tagger, ShrinkWork]:
    setting, given, spec = SETTINGS[asked.setting], tagger(asked.setting, asked.seed, design), asked.spec(design)
    dev = {language: setting.split(language, "dev", design.dev) for language in setting.languages}
    texts = {language: text(language) for language in setting.languages} if asked.size else {}
    work = prepared(given, dev, spec, start=check_tagger(given), texts=texts, progress=None)
    return given, work if asked.speedup is None else timed(work, design.table(asked.shape))


def _timed(work: Callable[[], Any]) -> tuple[NDArray[np.int64], Any]:
    """Processor milliseconds, and what was made."""
    started = time.process_time()
    made = work()
    return np.array([round(1e3 * (time.process_time() - started))]), made


def _in_int8(small: Tagger, data: Mapping[str, Labelled]) -> dict[str, NDArray[Any]]:
    """The same as an ONNX graph with int8 weights: bytes of its folder, tokenizer included, and counts; and how far the graph was
    from the tagger in float32."""
    with TemporaryDirectory() as name:
        folder = Path(name) / "int8"
        record = export(small, folder, int8=True)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        graph = cast(PreTrainedModel, GraphClassifier(open_graph(folder / record.file, to="onnx"), record.inputs))
        found = evaluate(graph, data, small.task, small.labels, device="cpu", precision="fp32")
    counts = named("int8", _main_counts(found, small.task))
    return {"int8/bytes": np.array([size]), **counts, **_differences({"onnx": record.difference})}


def _differences(found: Mapping[str, float]) -> dict[str, NDArray[Any]]:
    return {f"{ROUND_TRIP}{name}": np.array([round(1e9 * own)]) for name, own in found.items()}


def repaired_file(asked: Asked, design: Design) -> Path:
    """Where a repaired tagger waits for its distillation."""
    return UNFINISHED / f"{asked.name}.{design.train}.repaired.safetensors"


def _keep_repaired(small: Tagger, given: Tagger, plan: Plan, path: Path) -> None:
    """Keep the weights by which a repaired tagger differs from the pruned one."""
    pruned = pruned_to(given.model, plan, [], how="none").state_dict()
    weights = {name: own.contiguous() for name, own in small.model.state_dict().items() if not torch.equal(own, pruned[name])}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file(weights, partial)
    partial.replace(path)


def repaired(asked: Asked, plan: Plan, design: Design) -> Tagger:
    """The tagger pruned to a plan and repaired, with the very weights that its search kept, so that a stopped distillation knows
    them again; repaired anew where the file is not there."""
    given, path = tagger(asked.setting, asked.seed, design), repaired_file(asked, design)
    if not path.is_file():
        _, work = _prepared(asked, design)
        _keep_repaired(finished(replace(work, spec=replace(work.spec, repair="refit")), plan, None), given, plan, path)
    model = pruned_to(given.model, plan, [], how="none")
    model.load_state_dict(load_file(path), strict=False)
    return replace(given, model=model)


def distilled(asked: Asked, design: Design, resume_file: Path) -> None:
    """The plan of a search, repaired and then distilled on unlabelled text, as `--distil` does it.

    All rules get the same processor time: what `joint` takes for its search and repair, and ten minutes more. A rule whose
    search takes less learns for longer. Continues from its last state.
    """
    own = kept(design.cell(asked.name))
    if OUT_OF_REACH in own:
        return keep(design.cell(distil_name(asked)), own)
    given = tagger(asked.setting, asked.seed, design)
    minutes = design.minutes + spare_minutes(own, kept(design.cell(replace(asked, rule="joint").name)))
    files = state_files(resume_file)
    continues = any(path.exists() for path in files)
    small = repaired(asked, plan_of(own, check_tagger(given)), design)
    lines = lines_with_words({language: text(language) for language in SETTINGS[asked.setting].languages})
    facts = distil_tagger(small, given, lines, minutes=minutes, seed=asked.seed, resume_file=resume_file)
    found: dict[str, NDArray[Any]] = {
        "distil/minutes_x1000": np.array([round(1e3 * minutes)]),
        "distil/steps": np.array([facts.steps]),
        "distil/cpu_ms": np.array([-1 if continues else round(1e3 * facts.cpu_seconds)]),
        **named("distil", counts_of(small, labelled_tests(asked.setting, asked.seed, design))),
    }
    keep(design.cell(distil_name(asked)), found)
    for path in (*files, repaired_file(asked, design)):
        path.unlink(missing_ok=True)
    return None


def distil_name(asked: Asked) -> str:
    """The cell of a distillation."""
    return f"distil.{asked.name}"


def spare_minutes(own: Counts, joint: Counts) -> float:
    """Processor minutes by which the search and repair of `joint` took longer than those of another rule, at least 0."""

    return max(0.0, _search_minutes(joint) - _search_minutes(own))


def _search_minutes(cell: Counts) -> float:
    return sum(float(cell[name][0]) for name in ("search/cpu_ms", "refit/cpu_ms")) / 60e3


def distilled_minutes(cell: Counts) -> float:
    """Processor minutes of a search, its repair and its distillation."""
    return _search_minutes(cell) + float(cell["distil/minutes_x1000"][0]) / 1e3


def cells_of(wanted: Sequence[Asked], design: Design) -> dict[int, dict[str, NDArray[np.int64]]]:
    """By seed, the finished cells of one row whose unpruned tagger is counted too, and what distilling them gave, if it did."""
    found = {}
    for own in wanted:
        names = (before_name(own.setting, own.seed), own.name, distil_name(own))
        whole, path, taught = (design.cell(name) for name in names)
        if whole.is_file() and path.is_file():
            cell, more = kept(path), kept(taught) if taught.is_file() else {}
            if OUT_OF_REACH not in cell:
                found[own.seed] = {**named("before", kept(whole)), **cell, **more}
    return found
