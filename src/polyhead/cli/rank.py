"""`polyhead rank`: importance of every head on labelled text."""

from dataclasses import replace
from typing import Any

from polyhead.batching import scoring_batches
from polyhead.checkpoint import classifier_labels, load_config
from polyhead.cli.console import Console
from polyhead.cli.requests import RankRequest
from polyhead.cli.taggers import Tagger, new_tagger, open_tagger, set_threads
from polyhead.data.labels import label_set
from polyhead.data.references import DataReference, Split, sample
from polyhead.data.sentences import Dataset
from polyhead.errors import SettingError
from polyhead.head_files import scores_document, write_scores
from polyhead.importance.methods import method as find_method
from polyhead.importance.methods import score_heads
from polyhead.ranking import rank as order_of
from polyhead.report.pictures import text_picture
from polyhead.report.tables import markdown
from polyhead.tasks import Task
from polyhead.tasks import task as find_task


def rank(request: RankRequest, console: Console) -> int:
    """Score, write the scores where asked, print the order."""
    if request.out is not None and request.out.suffix not in (".tsv", ".json"):
        raise SettingError(f"--out {request.out}: expected a name that ends in .tsv or .json")
    task, chosen = find_task(request.task), find_method(request.method)
    set_threads(request.machine.threads)
    reference = _reference(request)
    data = _data(request, reference, task)
    console.repairs(data.name, data.repairs)
    tagger, is_new = _tagger(request, task, data)
    if is_new and chosen.needs_labels:
        console.note(
            f"note: {request.model} has no classifier for {task.name}; a new one (seed {request.seed}) is used, and scores of an "
            "encoder that was not fine-tuned say little; see polyhead fit"
        )
    if note := tagger.other_words(reference.words):
        console.note(note)
    tagger.model.to(tagger.device)
    encoded = tagger.encode(data.sentences)
    scores = score_heads(
        request.method,
        tagger.model,
        scoring_batches(encoded, pad_id=tagger.pad_id),
        seed=request.seed,
        per=request.per,
        precision=tagger.precision,
        progress=console.progress,
    )
    scores = replace(scores, languages=(data.language,), model=request.model, data_hash=data.sha256)
    ranking = [str(head) for head in order_of(scores, normalisation=request.normalise)]
    if request.out is not None:
        write_scores(request.out, scores)
    document = scores_document(scores) | {
        "ranking": ranking,
        "task": task.name,
        "data": {"name": data.name, "split": data.split, "sentences": len(data.sentences), "words": data.n_words},
        "words": reference.words,
        "new_classifier": is_new,
    }
    console.result(document, _text(document, request.normalise))
    return 0


def _reference(request: RankRequest) -> DataReference:
    if request.corpus is not None:
        return DataReference.parse(request.corpus)
    if request.data.is_dir():
        raise SettingError(
            f"--data {request.data}: a folder; name a labelled file, or add --corpus NAME to read one of its corpora"
        )
    # a plain file serves as dev, the only role that ranking has
    return DataReference(str(request.data), request.language, files={"dev": request.data})


def _data(request: RankRequest, reference: DataReference, task: Task) -> Dataset:
    reader = request.files.reader(task, request.data)
    split: Split = request.split if request.corpus else "dev"
    data = reader.open(reference, split, labelled=find_method(request.method).needs_labels)
    return data if request.limit is None else sample(data, request.limit, seed=request.seed)


def _tagger(request: RankRequest, task: Task, data: Dataset) -> tuple[Tagger, bool]:
    """The checkpoint's own classifier, or a new one where it has none; a classifier for something else is an error."""
    is_new = classifier_labels(load_config(request.model, revision=request.revision)) is None
    device, revision = request.machine.device, request.revision
    if not is_new:
        return open_tagger(request.model, task=task, device=device, reading=request.reading, revision=revision), False
    labels = label_set(task, [data])
    tagger = new_tagger(
        request.model, labels=labels, seed=request.seed, device=device, reading=request.reading, revision=revision
    )
    return tagger, True


def _text(document: dict[str, Any], normalise: str) -> str:
    scores, ranking, passes, seconds = (document[key] for key in ("scores", "ranking", "passes", "seconds"))
    rows = [[i + 1, head, f"{_at(scores, head):.6g}"] for i, head in enumerate(ranking)]
    return (
        f"{text_picture(scores)}\n\n{markdown(['place', 'layer.head', 'score'], rows)}\n\n"
        f"least important first; method {document['method']}, normalisation {normalise}, {seconds:.1f} s, "
        f"{passes['forward']:g} forward and {passes['backward']:g} backward passes over the data; words are {document['words']}"
    )


def _at(scores: list[list[float]], head: str) -> float:
    layer, _, number = head.partition(".")
    return scores[int(layer)][int(number)]
