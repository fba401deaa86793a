"""`polyhead fit`: fine-tune a tagger on the source and save it."""

from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from polyhead.cli.console import Console
from polyhead.cli.inputs import check_new_folder, note_unread_tests, set_threads
from polyhead.cli.train_requests import FitRequest
from polyhead.data.conllu import Words
from polyhead.data.labels import label_set
from polyhead.data.references import one_word_choice, references
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.data.tasks import Task
from polyhead.data.tasks import task as find_task
from polyhead.learning.encoding import join
from polyhead.learning.tagger import Tagger, new_tagger
from polyhead.learning.training import FitRecord
from polyhead.learning.training import fit as fit_model
from polyhead.learning.training_state import discard_state
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.model_card import CardScore, ModelCard
from polyhead.models.saving import save_pruned
from polyhead.report.reading import short
from polyhead.report.tables import markdown, shown_points, title
from polyhead.studies.inputs import reader_of
from polyhead.studies.settings import FitSettings


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
    for data in (*trains, *devs):
        console.repairs(f"{data.name} {data.split}", data.repairs)
    tagger = new_tagger(
        chosen.model,
        labels=label_set(task, trains),
        seed=spec.seed,
        device=request.machine.device,
        anchor=spec.anchor,
        max_length=spec.max_length,
        precision=spec.precision,
        revision=chosen.revision,
    )
    state = request.out.with_name(request.out.name + ".state")
    record = fit_model(
        tagger.model,
        join([tagger.encode(data.sentences) for data in trains]),
        spec,
        pad_id=tagger.pad_id,
        device=tagger.device,
        state_folder=state,
        progress=console.progress,
    )
    dev = _dev_scores(tagger, devs, task, console)
    _save(request.out, tagger, task, trains, dev, words=words)
    discard_state(state)
    with suppress(OSError):  # anything else in it is not ours
        state.rmdir()
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


def _dev_scores(tagger: Tagger, devs: list[Dataset], task: Task, console: Console) -> _Scores:
    """Name, language and metrics in points of every dev set."""
    if not devs:
        return []
    found = tagger.evaluate(devs, [tagger.encode(data.sentences) for data in devs], task, console.progress)
    return [(d.name, d.language, {m: 100 * x for m, x in own.metrics.items()}) for d, own in zip(devs, found, strict=True)]


def _save(out: Path, tagger: Tagger, task: Task, trains: list[Dataset], dev: _Scores, *, words: Words) -> None:
    card = ModelCard(
        base_model="" if Path(tagger.name).is_dir() else tagger.name,
        task=task.name,
        languages=tuple(dict.fromkeys(data.language for data in trains)),
        training_data=tuple(f"{short(data.name)} {data.split} ({len(data.sentences):,} sentences)" for data in trains),
        scores=tuple(
            CardScore(f"{short(name)} dev", language, task.metric, metrics[task.metric] / 100) for name, language, metrics in dev
        ),
    )
    encoding = EncodingChoice(
        anchor=tagger.anchor, max_length=tagger.max_length, precision=tagger.precision, words=words, task=task.name
    )
    save_pruned(tagger.model, out, tokenizer=tagger.tokenizer, card=card, encoding=encoding, overwrite=True)


def _text(out: Path, task: Task, dev: _Scores, record: FitRecord, words: Words) -> str:
    lines = [f"saved {out}: {record.steps} steps in {record.seconds:.0f} s; words are {words}"]
    if dev:
        rows = [[name, language, shown_points(metrics[task.metric])] for name, language, metrics in dev]
        lines.append(markdown(["dev", "language", title(task.metric)], rows))
    return "\n\n".join(lines)
