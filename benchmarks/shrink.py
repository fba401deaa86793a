"""What a speed or a size costs in five languages: fine-tunings made faster without training and distilled, beside five baselines.

    python benchmarks/shrink.py latency [--threads N]         # idle machine, about 20 minutes: the table of both batches
    python benchmarks/shrink.py cells [--kinds speed ...]     # any machine, however busy; several processes side by side
    python benchmarks/shrink.py times [--minutes 5]           # idle machine, 5 to 30 seconds a plan; continues when stopped
    python benchmarks/shrink.py table                         # seconds; writes results/shrink.json
    python benchmarks/shrink.py --list                        # cells there and missing, and hours still needed

The encoder of `e5.py` fine-tuned on 2,000 sentences of EWT (drawn by seed 42, three epochs, the default settings). Every rule of
`plan_search.RULES` chooses a plan: ours (`joint`), the same scores spread evenly (`uniform`), magnitudes, one-shot |gradient| as
TextPruner's procedure, random heads and neurons, and whole layers at even distances. Rules that spread evenly or take whole
layers have few plans near a speed: they may be 5 % slower than asked, so that none has to prune far more than ours. Heads and
neurons are scored on half of 512 dev sentences of each language, or half of all where there are fewer. Losses are those on whole
test splits.

Kinds of cells. `speed`: twice as fast on batches of 1 × 32 and 32 × 128 subwords by every rule, five seeds; 1.5 and 3 times by
`joint` and by whole layers, three seeds; each plan pruned only and with the repair `refit`. `size`: 35 % of the bytes with a
vocabulary trimmed to the text of the five languages, alone and with twice the speed, also as an ONNX graph in int8; three seeds.
`before` has the unpruned tagger in int8 too. `ner`: twice the speed on 32 × 128, WikiNEuRal, English to German, fine-tuned on
2,000 sentences of `val`, repaired; three seeds. `distil`: twice the speed on 32 × 128, every rule, five seeds; and `joint` at all
other speeds, three seeds: repaired, then taught by the unpruned tagger on the text that `vocabulary.py` trims by. All rules get
the same processor time, that of the search and repair of `joint` and ten minutes more; a rule whose search takes less learns for
longer. Processor time is summed over threads; cells use one.

A search chooses by the latency tables that `latency` keeps in results/latency_tables, and never measures: cells are the same on
any machine. `times` runs the whole model and every distinct plan of finished cells in turn and keeps median ratios in
results/plan_times.json. A finished cell in results/shrink_cells is kept; a stopped search begins anew (minutes), a stopped
training or distillation continues; the repaired tagger waits for it in the folder of unfinished work. `before` cells hold the
counts of unpruned taggers, once per seed; a tagger that is trained again has to count the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from cell_jobs import Job, run_stage, stage_parser, write_table
from e5 import kept
from plan_times import Counts as PlanCounts
from plan_times import Shape, latency_table, measure_tables, speeds, table_file, time_plans
from shrink_cells import (
    DESIGN,
    SETTINGS,
    SHAPES,
    UNFINISHED,
    Asked,
    Design,
    before,
    before_name,
    cells_of,
    distil_name,
    distilled,
    shrunk,
)
from shrink_rows import contrasts, plan_counts, row, whole_in_int8
from treebanks import WORK

from polyhead.compression.latency_table import LatencyTable
from polyhead.compression.plan_search import RULES
from polyhead.compression.timing import Timer

SEEDS = tuple(range(42, 47))
FEW = SEEDS[:3]
CLAIMED = 2.0
OTHER_SPEEDS = (1.5, 3.0)
SPEEDS = (1.5, CLAIMED, 3.0)
LARGE = SHAPES[-1]
LAYERS = "half-layers"
KINDS = ("speed", "size", "ner", "distil")
SECONDS_A_PASS = 0.012  # of one sentence on one thread, for the estimate of the hours
TESTED = {"pos": 4800, "ner": 24000}  # sentences of the tests, for the same


def asked_for(kind: str, rules: Sequence[str] = tuple(RULES)) -> Iterator[Asked]:
    """Everything of a kind, most urgent first: in `speed` the claim, ours and every baseline, seed by seed."""
    own = [rule for rule in rules if rule == "joint"]
    if kind == "speed":
        for shape in reversed(SHAPES):
            yield from (Asked(rule, seed, CLAIMED, shape) for seed in SEEDS for rule in rules)
        for chosen in (own, [rule for rule in rules if rule == LAYERS]):  # the pictures have no other rule
            for speedup in OTHER_SPEEDS:
                for shape in reversed(SHAPES):
                    yield from (Asked(rule, seed, speedup, shape) for seed in FEW for rule in chosen)
    elif kind == "size":
        yield from (Asked(rule, seed, speedup, size=True) for speedup in (None, CLAIMED) for seed in FEW for rule in own)
    elif kind == "ner":
        yield from (Asked(rule, seed, CLAIMED, setting="ner") for seed in FEW for rule in rules)
    else:
        for seeds in (FEW, SEEDS[len(FEW) :]):
            yield from (Asked(rule, seed, CLAIMED) for seed in seeds for rule in rules)
        elsewhere = [(CLAIMED, SHAPES[0]), *((speedup, shape) for speedup in OTHER_SPEEDS for shape in reversed(SHAPES))]
        yield from (Asked(rule, seed, speedup, shape) for speedup, shape in elsewhere for seed in FEW for rule in own)


def jobs(kinds: Sequence[str], seeds: Sequence[int], rules: Sequence[str], design: Design = DESIGN) -> list[Job]:
    """All cells, most urgent first, each unpruned tagger before what needs it."""
    found: dict[str, Job] = {}
    taught = {asked.name for asked in asked_for("distil")}
    for kind in kinds:
        for asked in asked_for(kind, rules):
            if asked.seed not in seeds:
                continue
            whole = before_name(asked.setting, asked.seed)
            int8 = asked.setting == "pos" and asked.seed in FEW
            work = partial(before, asked.setting, asked.seed, design, int8=int8)
            cost = 3 * 3 * design.train + (1 + int8) * TESTED[asked.setting]
            found.setdefault(whole, Job("before", whole, (), work, cost))
            if kind == "distil":
                needs = tuple(design.cell(own.name) for own in dict.fromkeys((asked, replace(asked, rule="joint"))))
                name, work = distil_name(asked), partial(distilled, asked, design)
            else:
                name, needs, work = (
                    asked.name,
                    (design.cell(whole),),
                    partial(shrunk, asked, design, distils=asked.name in taught),
                )
            found[name] = Job(kind, name, needs, work, passes(kind, asked))
    return [*found.values()]


def passes(kind: str, asked: Asked) -> float:
    """About how many forward passes of a sentence through the whole model a cell takes."""
    own, left = SETTINGS[asked.setting], 1 / (asked.speedup or 1.0)
    scored = 256 * len(own.languages)
    # as long as the model that is scored shrinks from round to round, its mean is between the first and the last
    search = 3 * scored * {"joint": 8, "uniform": 8, "one-shot": 1}.get(asked.rule, 0) * (1 + left) / 2
    repair = 6 * scored if "refit" in asked.repairs else 0
    tested = TESTED[asked.setting] * left
    if kind == "distil":
        joint = 0 if asked.rule == "joint" else 3 * scored * 8 * (1 + left) / 2 - search
        return 60 * DESIGN.minutes / SECONDS_A_PASS + joint + tested
    return search + repair + tested * (len(asked.repairs) + asked.size)


def timed_plans(design: Design = DESIGN) -> Iterator[tuple[Shape, PlanCounts]]:
    """The plan of every finished cell, and the batch that it was chosen for."""
    for kind in KINDS[:3]:
        for asked in asked_for(kind):
            for cell in cells_of([asked], design).values():
                yield asked.shape, plan_counts(cell)


def table(design: Design = DESIGN) -> dict[str, Any]:
    """By task and what is asked for: every rule with at least one seed, and what `joint` gains over each baseline."""
    found: dict[str, Any] = {}
    for kind in KINDS[:3]:
        rows: dict[str, list[Asked]] = {}
        for asked in asked_for(kind):
            rows.setdefault(title(asked), []).append(asked)
        for key, own in rows.items():
            cells = {rule: cells_of([one for one in own if one.rule == rule], design) for rule in RULES}
            by_rule = {rule: row(there, own[0]) for rule, there in cells.items() if there}
            if by_rule:
                found[key] = {"rules": by_rule, "joint over": contrasts(cells, SETTINGS[own[0].setting].languages)}
    return found


def in_int8(design: Design = DESIGN) -> dict[str, Any]:
    """What int8 costs the unpruned taggers; empty without any that was counted so."""
    paths = {seed: design.cell(before_name("pos", seed)) for seed in FEW}
    cells = {seed: own for seed, path in paths.items() if path.is_file() and "int8/bytes" in (own := kept(path))}
    return whole_in_int8(cells, SETTINGS["pos"].languages) if cells else {}


def title(asked: Asked) -> str:
    """What is asked for, in words.

    >>> title(Asked("joint", 42, 2.0)), title(Asked("joint", 42, size=True))
    ('pos: 2x, 32 x 128', 'pos: 35 % of the size')
    """
    speed = [] if asked.speedup is None else ["{:g}x, {} x {}".format(asked.speedup, *asked.shape)]
    return f"{asked.setting}: {' and '.join([*speed, *(['35 % of the size'] if asked.size else [])])}"


def made_up_table(shape: Shape) -> LatencyTable:
    """Of a model of e5's shape, measured nowhere: for trials and tests."""
    return LatencyTable.given(
        batch=shape[0],
        length=shape[1],
        n_layers=12,
        fixed=1.0,
        attention=((0, 0.0), (12, 1.0)),
        feed_forward=((0, 0.0), (1536, 2.0)),
    )


def trial_design(name: str) -> Design:
    """Of `--try`: whether everything runs."""
    tables = {shape: made_up_table(shape) for shape in SHAPES}
    return Design(train=32, dev=16, test=16, scored=8, minutes=0.05, folder=WORK / f"{name}-trial", tables=tables)


def trial() -> dict[str, Any]:
    """A few small cells, a time, and their table."""
    design = trial_design("shrink")
    asked = [Asked("joint", 42, CLAIMED), Asked("half-layers", 42, CLAIMED)]
    names = [own.name for own in asked] + [distil_name(asked[1])]
    names += [Asked("joint", 42, CLAIMED, size=True).name, Asked("joint", 42, CLAIMED, setting="ner").name]
    for job in jobs(KINDS, SEEDS[:1], list(RULES), design):
        if job.kind == "before" or job.name in names:
            UNFINISHED.mkdir(parents=True, exist_ok=True)
            job.work(UNFINISHED / f"trial.{job.name}.partial")
    plans = [(SHAPES[0], counts) for _, counts in timed_plans(design)]
    quick, file = Timer(least=1, most=1), design.folder / "plan_times.json"
    time_plans(plans[:1], file=file, timer=quick, tables={SHAPES[0]: made_up_table(SHAPES[0])})
    return {**table(design), "timed": speeds(*plans[0], file=file, table=made_up_table(SHAPES[0]))}


def main() -> None:
    parser = stage_parser(__doc__, ["latency", "times"])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, help="of cells; all but distil unless named, in --list all")
    parser.add_argument("--seeds", nargs="+", type=int, choices=SEEDS, default=list(SEEDS))
    parser.add_argument("--rules", nargs="+", choices=list(RULES), default=list(RULES))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="that latency is measured with")
    parser.add_argument("--minutes", type=float, help="begin no plan after so many minutes of times")
    options = parser.parse_args()
    kinds = options.kinds or (KINDS if options.list else KINDS[:3])

    def write() -> Path:
        tables = {shape: latency_table(shape) for shape in SHAPES if table_file(shape).is_file()}
        facts = {
            "{} x {}".format(*shape): {"full_ms": own.full, "threads": own.threads, "precision": own.precision}
            for shape, own in tables.items()
        }
        return write_table("shrink", __doc__, seed=SEEDS[0], latency=facts, asked=table(), whole_in_int8=in_int8())

    run_stage(
        parser,
        options,
        jobs(kinds, options.seeds, options.rules),
        DESIGN.folder,
        unfinished=UNFINISHED,
        seconds=SECONDS_A_PASS,
        table=write,
        trial=trial,
        stages={
            "latency": partial(measure_tables, SHAPES, options.threads),
            "times": lambda: time_plans(timed_plans(), minutes=options.minutes),
        },
    )


if __name__ == "__main__":
    main()
