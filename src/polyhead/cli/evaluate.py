"""`polyhead evaluate`: how well a tagger does in each language."""

from collections.abc import Sequence
from typing import Any

from polyhead.cli.console import Console, met
from polyhead.cli.exit_codes import DONE
from polyhead.cli.inputs import note_reading, opened, other_words, reader, task_for, zero_everywhere
from polyhead.cli.requests import EvaluateRequest
from polyhead.data.labels import unshared_labels
from polyhead.data.references import one_word_choice, references
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.learning.inference import evaluate as evaluate_all
from polyhead.models.named_masks import head_masks, with_all_heads
from polyhead.report.tables import markdown, shown_number, title
from polyhead.studies.tagger import Tagger


def evaluate(request: EvaluateRequest, console: Console) -> int:
    """Read every target, predict all of them in one pass, print their figures."""
    named = references(request.target, "target")
    words = one_word_choice(named)
    task = task_for(request, console)
    files = reader(request, task)
    datasets = [sample(files.open(reference, request.split), request.limit, seed=request.seed) for reference in named]
    tagger = opened(request, task)
    console.note(other_words(tagger, words))
    targets = _targets(tagger, datasets, console)
    document = {
        "schema": 1,
        "model": request.model,
        "task": tagger.task.name,
        "main_metric": tagger.task.metric,
        "words": words,
        "limit": request.limit,
        "seed": request.seed,
        "precision": tagger.precision,
        "anchor": tagger.anchor,
        "max_length": tagger.max_length,
        "targets": targets,
    }
    split = request.split if request.limit is None else f"at most {request.limit:,} sentences of the {request.split}"
    kind = f"; words are {words}" if tagger.task.unit == "word" else ""
    console.result(document, f"{_table(targets, tagger.task.unit)}\n\nin points, 0 to 100; {split} split{kind}")
    for data, target in zip(datasets, targets, strict=True):
        note_reading(console, data)
        if said := unshared_labels(tagger.labels, data):
            console.note(f"note: {said}, so every {tagger.task.unit} with a label counts as wrong; see polyhead data check")
        console.repairs(target["name"], met(target, unit=tagger.task.unit))
    console.note(zero_everywhere(tagger.task, [target["metrics"][tagger.task.metric] for target in targets]))
    return DONE


def _targets(tagger: Tagger, datasets: Sequence[Dataset], console: Console) -> list[dict[str, Any]]:
    """One record a data set, metrics in points."""
    labelled = {str(i): tagger.labelled(data) for i, data in enumerate(datasets)}
    masks = head_masks(tagger.model)
    names = {str(i): data.language if data.language in masks else None for i, data in enumerate(datasets)}
    if masks and (without := [data.language for data in datasets if data.language not in masks]):
        console.note(f"note: {with_all_heads(masks, without)}")
    found = evaluate_all(
        tagger.model,
        labelled,
        tagger.task,
        tagger.labels,
        precision=tagger.precision,
        mask_names=names if masks else None,
        progress=console.progress,
    )
    return [
        {
            "name": data.name,
            "language": data.language,
            "split": data.split,
            "mask": names[name],
            "sentences": len(data.sentences),
            "n_words": found[name].n_words,
            "metrics": {metric: 100 * value for metric, value in found[name].metrics.items()},
            "repairs": data.notes,
            "unknown_labels": labelled[name].encoded.counts.unknown_labels,
            "truncated_words": labelled[name].encoded.counts.truncated_words,
            "lone_marker_share": labelled[name].encoded.counts.lone_marker_share,
            "sha256": data.sha256,
        }
        for name, data in zip(labelled, datasets, strict=True)
    ]


def _table(targets: Sequence[dict[str, Any]], unit: str) -> str:
    metrics = list(targets[0]["metrics"])
    rows = [
        [t["name"], t["language"], f"{t['sentences']:,}", f"{t['n_words']:,}", *(shown_number(t["metrics"][m]) for m in metrics)]
        for t in targets
    ]
    return markdown(["target", "language", "sentences", f"{unit}s scored", *map(title, metrics)], rows)
