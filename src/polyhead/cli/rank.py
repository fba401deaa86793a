"""`polyhead rank`: importance of every head on labelled text."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from polyhead.cli.console import Console, met, wrapped
from polyhead.cli.inputs import few_sentences, labelled_sample
from polyhead.cli.options import method_options
from polyhead.cli.requests import RankRequest
from polyhead.cli.score_output import check_replaced, check_score_file
from polyhead.core.store import writing
from polyhead.data.tasks import task as find_task
from polyhead.importance.methods import method as find_method
from polyhead.importance.methods import score_heads
from polyhead.importance.names import check_normalisation
from polyhead.learning.batching import scoring_batches
from polyhead.models.architectures import head_mask
from polyhead.report.pictures import text_picture
from polyhead.report.tables import markdown
from polyhead.selection.ranking import rank as order_of
from polyhead.selection.score_files import scores_document, write_scores

_LEGEND = "0 to 9: tenth of the ranking that the head is in, 9 = most important; -: pruned"


def rank(request: RankRequest, console: Console) -> int:
    """Score, write the scores where asked, print the order."""
    if request.out is not None:
        check_score_file("--out", request.out)
    task, chosen = find_task(request.task), find_method(request.method)
    options = chosen.chosen(method_options(request.option))
    check_normalisation(chosen.name, request.normalise)
    sample = labelled_sample(request, task, console, needs_labels=chosen.needs_labels)
    data, tagger = sample.data, sample.tagger
    facts: dict[str, Any] = {"languages": (data.language,), "model": request.model, "data_hash": data.sha256}
    settings = {
        "seed": request.seed,
        "split": data.split if request.corpus else None,
        "limit": request.limit,
        "new_classifier": sample.is_new and chosen.needs_labels,
        "task": task.name,
        "words": sample.words,
        "anchor": tagger.anchor,
        "max_length": tagger.max_length,
        "revision": request.revision,
    }
    if request.out is not None:
        check_replaced("--out", request.out, settings=settings, method=chosen.name, **facts)
    if chosen.reads_text and (note := few_sentences(data)):
        console.note(note)
    encoded = tagger.encode(data.sentences)
    counts = {"unknown_labels": encoded.counts.unknown_labels, "truncated_words": encoded.counts.truncated_words}
    if chosen.needs_labels:
        console.repairs(data.name, met(counts, unknown="left out of the scores"))
    resume_file = None if request.out is None else request.out.with_name(f"{request.out.name}.partial")
    with nullcontext() if request.out is None else writing(request.out):
        scores = score_heads(
            request.method,
            tagger.model,
            scoring_batches(encoded),
            seed=request.seed,
            precision=tagger.precision,
            progress=console.progress,
            resume_file=resume_file,
            options=options,
        )
        scores = replace(scores, **facts, settings={**scores.settings, **settings})
        if request.out is not None:
            write_scores(request.out, scores)
        if resume_file is not None:
            resume_file.unlink(missing_ok=True)
    for name, value in vars(options).items():
        if (used := scores.settings.get(name, value)) != value:
            console.note(f"option {name} {value}: this model has {head_mask(tagger.model).n_kept} heads, so {used} was used")
    ranking = [str(head) for head in order_of(scores, normalisation=request.normalise)]
    document = scores_document(scores) | {
        "ranking": ranking,
        "task": task.name,
        "data": {"name": data.name, "split": data.split, "sentences": len(data.sentences), "words": data.n_words} | counts,
        "words": sample.words,
        "new_classifier": sample.is_new,
    }
    console.result(document, wrapped(_text(document, request.normalise)))
    return 0


def _text(document: dict[str, Any], normalise: str) -> str:
    scores, ranking, passes, seconds = (document[key] for key in ("scores", "ranking", "passes", "seconds"))
    rows = [[i + 1, head, f"{_at(scores, head):.6g}"] for i, head in enumerate(ranking)]
    said = "".join(f"\n{line}" for line in _estimate(document["settings"]))
    return (
        f"{text_picture(scores)}\n{_LEGEND}\n\n{markdown(['place', 'layer.head', 'score'], rows)}\n\n"
        f"least important first; method {document['method']}, normalisation {normalise}, {seconds:.1f} s, "
        f"{passes['forward']:g} forward and {passes['backward']:g} backward passes over the data; words are {document['words']}"
        + said
    )


def _estimate(settings: Mapping[str, Any]) -> list[str]:
    """How far to trust what a method estimated, by what it recorded of that."""
    lines = []
    if "settled" in settings:
        reached = settings["epsilon"]
        ends = "their intervals do not part" if reached is None else f"their intervals part to {100 * reached:.2g} %"
        state = "settled" if settings["settled"] else "NOT settled"
        lines.append(
            f"the lowest {settings['n_lowest']} are {state}: {ends} of what all heads together are worth (2 % asked); "
            f"{settings['rounds']} rounds, {settings['sentence_passes']:,.0f} passes of a sentence (the published estimator: "
            "some 74 million a language)"
        )
    if settings.get("conserved") is not None:
        lines.append(
            f"{100 * settings['conserved']:.3g} % of the relevance arrives at the lowest layer: biases take some, and far from "
            "100 % shares are to be read one layer at a time"
        )
    return lines


def _at(scores: list[list[float]], head: str) -> float:
    layer, _, number = head.partition(".")
    return scores[int(layer)][int(number)]
