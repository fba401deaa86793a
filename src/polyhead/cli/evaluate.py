"""`polyhead evaluate`: how well a tagger does in each language."""

from typing import Any

from polyhead.cli.console import Console
from polyhead.cli.requests import EvaluateRequest
from polyhead.cli.taggers import Reading, open_tagger, set_threads
from polyhead.data.references import DataReference, one_word_choice, open_reference
from polyhead.errors import SettingError
from polyhead.inference import Labelled
from polyhead.inference import evaluate as evaluate_all
from polyhead.report.tables import markdown, shown_points, title
from polyhead.tasks import task as find_task


def evaluate(request: EvaluateRequest, console: Console) -> int:
    """Read every target, predict all of them in one pass, print their figures."""
    task = find_task(request.task)
    set_threads(request.threads)
    references = [DataReference.parse(text) for text in request.target]
    repeated = [text for text in request.target if request.target.count(text) > 1]
    if repeated:
        raise SettingError(f"--target {repeated[0]}: named more than once; name each once")
    words = one_word_choice(references)
    datasets = {
        reference.text: open_reference(
            reference,
            request.split,
            task=task,
            root=request.data,
            scheme=request.scheme,
            columns=request.columns,
            strict=request.strict,
        )
        for reference in references
    }
    reading = Reading(request.anchor, request.max_length, request.precision)
    tagger = open_tagger(request.model, task=task, device=request.device, reading=reading, revision=request.revision)
    labelled = {
        name: Labelled(tagger.encode(data.sentences), [s.labels for s in data.sentences]) for name, data in datasets.items()
    }
    found = evaluate_all(
        tagger.model,
        labelled,
        task,
        tagger.labels,
        pad_id=tagger.pad_id,
        device=tagger.device,
        precision=tagger.precision,
        progress=console.progress,
    )
    targets: list[dict[str, Any]] = [
        {
            "name": name,
            "language": datasets[name].language,
            "split": request.split,
            "sentences": len(datasets[name].sentences),
            "n_words": evaluation.n_words,
            "metrics": {metric: 100 * value for metric, value in evaluation.metrics.items()},
            "repairs": dict(datasets[name].repairs),
            "unknown_labels": labelled[name].encoded.counts.unknown_labels,
            "lone_marker_share": labelled[name].encoded.counts.lone_marker_share,
            "sha256": datasets[name].sha256,
        }
        for name, evaluation in found.items()
    ]
    metrics = list(targets[0]["metrics"])
    rows = [
        [t["name"], t["language"], f"{t['sentences']:,}", f"{t['n_words']:,}", *(shown_points(t["metrics"][m]) for m in metrics)]
        for t in targets
    ]
    document = {
        "schema": 1,
        "model": request.model,
        "task": task.name,
        "main_metric": task.metric,
        "words": words,
        "precision": tagger.precision,
        "anchor": tagger.anchor,
        "max_length": tagger.max_length,
        "targets": targets,
    }
    table = markdown(["target", "language", "sentences", "words scored", *map(title, metrics)], rows)
    console.result(document, f"{table}\n\nin points, 0 to 100; {request.split} split; words are {words}")
    for target in targets:
        console.repairs(target["name"], target["repairs"])
    return 0
