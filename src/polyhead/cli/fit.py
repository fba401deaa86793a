"""`polyhead fit`: fine-tune a tagger on the source and save it."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from polyhead.cli.console import Console
from polyhead.cli.inputs import check_new_folder, note_reading, note_unread_tests, set_threads, zero_everywhere
from polyhead.cli.train_requests import FitRequest
from polyhead.core.store import writing
from polyhead.data.conllu import Words
from polyhead.data.labels import label_set
from polyhead.data.references import one_word_choice, references
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.data.suspicions import seen_before
from polyhead.data.tasks import Task
from polyhead.data.tasks import task as find_task
from polyhead.learning.training import FitRecord
from polyhead.models.model_card import CardScore, ModelCard
from polyhead.report.reading import short
from polyhead.report.tables import markdown, shown_number, title
from polyhead.studies.inputs import reader_of
from polyhead.studies.settings import FitSettings
from polyhead.studies.tagger import Tagger


def fit(request: FitRequest, console: Console) -> int:
    """Read the sources, fine-tune, score their dev sets where they have one, save."""
    chosen = FitSettings(**request.settings)
    spec = chosen.train if request.seed is None else replace(chosen.train, seed=request.seed)
    task = find_task(chosen.task)
    check_new_folder(request.out)
    set_threads(request.machine.threads)
    sources = references(chosen.sources, "source")
    words = one_word_choice(sources)
    reader = reader_of(chosen, task)
    trains = [reader.open(reference, "train") for reference in sources]
    if chosen.train_limit is not None:
        trains = [sample(data, chosen.train_limit, seed=chosen.sample_seed) for data in trains]
    devs = [reader.open(reference, "dev") for reference in sources if reference.has("dev")]
    note_unread_tests(chosen.sources, console)
    note_reading(console, *trains, *devs)
    for note in seen_before(trains, devs):
        console.note(f"note: {note}")
    tagger = Tagger.load(
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
    unfinished = request.out.with_name(request.out.name + ".partial")
    with writing(request.out):
        check_new_folder(request.out)  # again: another fit may have ended a moment ago
        record = tagger.fit(trains, spec=spec, resume_file=unfinished, progress=console.progress)
        dev = _dev_scores(tagger, devs, console)
        if note := zero_everywhere(task, [metrics[task.metric] for _, _, metrics in dev]):
            console.note(note)
        _save(request.out, tagger, trains, dev)
        unfinished.unlink(missing_ok=True)
    document: dict[str, Any] = {
        "schema": 1,
        "out": str(request.out),
        "task": task.name,
        "words": words,
        "train": asdict(spec),
        "data": [{"name": d.name, "split": d.split, "sentences": len(d.sentences), "sha256": d.sha256} for d in (*trains, *devs)],
        "fit": asdict(record),
        "dev": [{"name": name, "language": language, "metrics": metrics} for name, language, metrics in dev],
    }
    console.result(document, _text(request.out, task, dev, record, words))
    return 0


_Scores = list[tuple[str, str, dict[str, float]]]


def _dev_scores(tagger: Tagger, devs: list[Dataset], console: Console) -> _Scores:
    """Name, language and metrics in points of every dev set."""
    if not devs:
        return []
    found = tagger.evaluate({str(i): data for i, data in enumerate(devs)}, progress=console.progress).values()
    return [(d.name, d.language, {m: 100 * x for m, x in own.metrics.items()}) for d, own in zip(devs, found, strict=True)]


def _save(out: Path, tagger: Tagger, trains: list[Dataset], dev: _Scores) -> None:
    main = tagger.task.metric
    card = ModelCard(
        base_model="" if Path(tagger.name).is_dir() else tagger.name,
        task=tagger.task.name,
        languages=tuple(dict.fromkeys(data.language for data in trains)),
        training_data=tuple(
            f"{short(data.name)} {data.split} ({len(data.sentences):,} sentences{''.join(f'; {what}' for what in data.merged)})"
            for data in trains
        ),
        scores=tuple(CardScore(f"{short(name)} dev", language, main, metrics[main] / 100) for name, language, metrics in dev),
    )
    tagger.save(out, card=card, overwrite=True)


def _text(out: Path, task: Task, dev: _Scores, record: FitRecord, words: Words) -> str:
    lines = [f"saved {out}: {record.steps} steps in {record.seconds:.0f} s; words are {words}"]
    if dev:
        rows = [[name, language, shown_number(metrics[task.metric])] for name, language, metrics in dev]
        lines.append(markdown(["dev", "language", title(task.metric)], rows))
    return "\n\n".join(lines)
