"""`polyhead fit`: fine-tune a tagger on the source and save it."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from polyhead.cli.console import Console
from polyhead.cli.exit_codes import DONE
from polyhead.cli.inputs import note_reading, note_sources, set_threads, zero_everywhere
from polyhead.cli.outputs import check_folder, partial_of
from polyhead.cli.train_requests import FitRequest
from polyhead.compression.latency_table import LatencyTable
from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.core.store import writing
from polyhead.core.values import counted
from polyhead.data.labels import label_set
from polyhead.data.references import one_word_choice, references
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.data.suspicions import seen_before
from polyhead.data.tasks import task as find_task
from polyhead.learning.teaching import Teacher
from polyhead.models.model_card import CardScore, ModelCard
from polyhead.models.model_heads import head_mask
from polyhead.report.reading import short
from polyhead.report.tables import markdown, shown_number, title
from polyhead.selection.ranking import nested_sizes
from polyhead.studies.elastic import elastic_plans, elastic_table
from polyhead.studies.run_data import reader_of
from polyhead.studies.tagger import Tagger


def fit(request: FitRequest, console: Console) -> int:
    """Read the sources, fine-tune, score their dev sets where they have one, save."""
    chosen = request.settings
    spec = chosen.train if request.seed is None else replace(chosen.train, seed=request.seed)
    task = find_task(chosen.task)
    check_folder("--out", request.out, new=True)
    set_threads(request.machine.threads)
    sources = references(chosen.sources, "source")
    words = one_word_choice(sources)
    reader = reader_of(chosen, task)
    trains = [sample(reader.open(source, "train"), chosen.train_limit, seed=chosen.sample_seed) for source in sources]
    devs = [reader.open(reference, "dev") for reference in sources if reference.has("dev")]
    note_sources(sources, console, holds_out=False)
    note_reading(console, *trains, *devs)
    for note in seen_before(trains, devs):
        console.note(f"note: {note}")
    new_tagger = partial(
        Tagger.load,
        chosen.model,
        task=task,
        labels=label_set(task, trains),
        seed=spec.seed,
        device=request.machine.device,
        anchor=spec.anchor,
        max_length=spec.max_length,
        precision=spec.precision,
        words=words,
        revision=chosen.revision,
    )
    tagger = new_tagger()
    _check_nested(request, devs, head_mask(tagger.model))
    ends = (".partial", ".nested.partial", ".plans.partial", ".elastic.partial")
    unfinished, second, rounds, third = files = [partial_of(request.out, end) for end in ends]
    with writing(request.out):
        check_folder("--out", request.out, new=True)  # again: another fit may have ended a moment ago
        table = elastic_table(tagger, request.sizes, progress=console.progress) if request.elastic else None
        record = tagger.fit(trains, spec=spec, resume_file=unfinished, progress=console.progress)
        if request.nested is not None:
            order = tagger.score("gradient", devs, progress=console.progress)
            tagger = new_tagger()
            record = tagger.fit(
                trains, spec=spec, nested=order, max_pruned=request.nested, resume_file=second, progress=console.progress
            )
        if request.elastic:
            plans = elastic_plans(
                tagger, devs, request.sizes, table=table, seed=spec.seed, resume_file=rounds, progress=console.progress
            )
            tagger, teacher = new_tagger(), Teacher(request.sizes.taught)
            record = tagger.fit(trains, spec=spec, nested=plans, teacher=teacher, resume_file=third, progress=console.progress)
        dev = _dev_scores(tagger, devs, console)
        console.note(zero_everywhere(task, [row["metrics"][task.metric] for row in dev]))
        _save(request.out, tagger, trains, dev)
        for file in files:
            file.unlink(missing_ok=True)
    document: dict[str, Any] = {
        "schema": 1,
        "out": str(request.out),
        "task": task.name,
        "words": words,
        "train": asdict(spec),
        "data": [{"name": d.name, "split": d.split, "sentences": len(d.sentences), "sha256": d.sha256} for d in (*trains, *devs)],
        "fit": asdict(record),
        "nested": tagger.nested,
        "nested_sizes": nested_sizes(tagger.nested, present=head_mask(tagger.model)),
        "elastic": _elastic(request, tagger, table),
        "dev": dev,
    }
    console.result(document, _text(document, task.metric))
    return DONE


def _check_nested(request: FitRequest, devs: Sequence[Dataset], present: HeadMask) -> None:
    for option, asked, what in (
        ("--nested", request.nested is not None, "heads"),
        ("--elastic", request.elastic, "heads and neurons"),
    ):
        if asked and not devs:
            raise SettingError(f"{option}: ranks the {what} on dev, and no source has a dev split; give one, as in en=TRAIN:DEV")
    if request.nested is not None and request.nested > present.n_kept:
        raise SettingError(f"--nested {request.nested}: this encoder has {present.n_kept} heads")
    if request.nested is not None and 0 < request.nested < present.group:
        shared = f"{present.group} heads of this encoder share a key and are pruned together"
        raise SettingError(f"--nested {request.nested}: {shared}; give {present.group} or more")


def _elastic(request: FitRequest, tagger: Tagger, table: LatencyTable | None) -> dict[str, Any] | None:
    """What the model was trained for, with predicted milliseconds of each plan."""
    if table is None or tagger.plans is None:
        return None
    plans = tagger.plans.plans
    times = [table.predict(plan.counts) for plan in plans]
    rows = [
        {
            "milliseconds": time,
            "heads_per_layer": [heads for heads, _ in plan.counts],
            "neurons_per_layer": [neurons for _, neurons in plan.counts],
        }
        for time, plan in zip(times, plans, strict=True)
    ]
    return {**asdict(request.sizes), "reached": times[0] / times[-1], "plans": rows}


def _dev_scores(tagger: Tagger, devs: list[Dataset], console: Console) -> list[dict[str, Any]]:
    """Name, language and metrics in points of every dev set."""
    if not devs:
        return []
    found = tagger.evaluate({str(i): data for i, data in enumerate(devs)}, progress=console.progress).values()
    return [
        {"name": data.name, "language": data.language, "metrics": {name: 100 * value for name, value in own.metrics.items()}}
        for data, own in zip(devs, found, strict=True)
    ]


def _save(out: Path, tagger: Tagger, trains: list[Dataset], dev: list[dict[str, Any]]) -> None:
    main = tagger.task.metric
    card = ModelCard(
        base_model="" if Path(tagger.name).is_dir() else tagger.name,
        task=tagger.task.name,
        languages=tuple(dict.fromkeys(data.language for data in trains)),
        training_data=tuple(
            f"{short(data.name)} {data.split} ({len(data.sentences):,} sentences{''.join(f'; {what}' for what in data.merged)})"
            for data in trains
        ),
        scores=tuple(CardScore(f"{short(row['name'])} dev", row["language"], main, row["metrics"][main] / 100) for row in dev),
    )
    tagger.save(out, card=card, overwrite=True)


def _sizes(sizes: Sequence[int]) -> str:
    """Numbers of heads in words.

    >>> _sizes([1, 2, 3]), _sizes([2, 4]), _sizes([2, 4, 6, 8, 10, 12])
    ('any number of heads up to 3', '2 or 4 heads', '2, 4, 6, … or 12 heads')
    """
    if list(sizes) == list(range(1, len(sizes) + 1)):
        return f"any number of heads up to {len(sizes)}"
    *first, last = map(str, sizes)
    shown = first if len(first) < 4 else [*first[:3], "…"]
    return " or ".join(filter(None, (", ".join(shown), f"{last} heads")))


def _text(document: dict[str, Any], metric: str) -> str:
    fit = document["fit"]
    words = f"; words are {document['words']}" if find_task(document["task"]).unit == "word" else ""
    lines = [f"saved {document['out']}: {counted(fit['steps'], 'step')} in {fit['seconds']:.0f} s{words}"]
    if sizes := document["nested_sizes"]:
        lines.append(f"{_sizes(sizes)} can be pruned: polyhead prune {document['out']} --n-pruned K")
    if found := document["elastic"]:
        shape = f"batch of {found['batch']} x {found['length']}"
        lines.append(
            f"any speed up to {found['reached']:.2f} times ({shape}) takes no training: "
            f"polyhead shrink {document['out']} DEV... --speedup X --out FOLDER"
        )
    if document["dev"]:
        rows = [[row["name"], row["language"], shown_number(row["metrics"][metric])] for row in document["dev"]]
        lines.append(markdown(["dev", "language", title(metric)], rows))
    return "\n\n".join(lines)
