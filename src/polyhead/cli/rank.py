"""`polyhead rank`: importance of every head on labelled text."""

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, Final

from polyhead.cli.console import Console, wrapped
from polyhead.cli.exit_codes import DONE
from polyhead.cli.inputs import few_sentences, labelled_sample
from polyhead.cli.options import method_options
from polyhead.cli.outputs import SCORES, check_file, check_replaced, partial_of
from polyhead.cli.requests import RankRequest
from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId
from polyhead.core.store import writing
from polyhead.data.tasks import task as find_task
from polyhead.importance.methods import check_normalisation, score_heads
from polyhead.importance.methods import method as find_method
from polyhead.importance.until_settled import check_settling, score_until_settled
from polyhead.learning.batching import scoring_batches
from polyhead.models.model_heads import head_mask
from polyhead.report.pictures import text_picture
from polyhead.report.tables import markdown
from polyhead.selection.ranking import rank as order_of
from polyhead.selection.score_files import scores_document, write_scores

_MAY_DIFFER: Final = 0.05
_LEGEND = "0 to 9: tenth of the ranking that the head is in, 9 = most important; -: pruned"


def rank(request: RankRequest, console: Console) -> int:
    """Score, write the scores where asked, print the order."""
    if request.out is not None:
        check_file("--out", request.out, suffixes=SCORES)
    chosen = find_method(request.method)
    options = chosen.chosen(method_options(request.option))
    check_normalisation(chosen.name, request.normalise)
    if request.until_settled is not None and request.normalise != "none":
        raise SettingError(
            f"--until-settled settles the order of plain scores, not of --normalise {request.normalise}; leave out one of them"
        )
    if request.until_settled is None and request.may_differ is not None:
        raise SettingError("--may-differ: says how far --until-settled may be off; give --until-settled K too, or leave it out")
    may_differ = _MAY_DIFFER if request.may_differ is None else request.may_differ
    sample = labelled_sample(request, console, needs_labels=chosen.needs_labels, may_be_new=True)
    data, tagger = sample.data, sample.tagger
    facts: dict[str, Any] = {"languages": (data.language,), "model": request.model, "data_hash": data.sha256}
    settings: dict[str, Any] = {
        "seed": request.seed,
        "split": data.split if request.corpus else None,
        "limit": request.limit,
        "new_classifier": sample.is_new and chosen.needs_labels,
        "task": tagger.task.name,
        "words": sample.words,
        "anchor": tagger.anchor,
        "max_length": tagger.max_length,
        "revision": request.revision,
    }
    if request.until_settled is not None:
        heads = head_mask(tagger.model)
        check_settling(chosen, n_lowest=request.until_settled, n_heads=heads.n_kept, may_differ=may_differ)
        settings |= {"until_settled": request.until_settled, "may_differ": may_differ}
    if request.out is not None:
        check_replaced("--out", request.out, settings=settings, facts={"method": chosen.name} | facts)
    if chosen.reads_text:
        console.note(few_sentences(data))
    unfinished = None if request.out is None else partial_of(request.out)
    with nullcontext() if request.out is None else writing(request.out):
        if request.until_settled is None:
            score = partial(score_heads, request.method, tagger.model, scoring_batches(sample.encoded))
        else:
            k, settling = request.until_settled, partial(score_until_settled, may_differ=may_differ)
            score = partial(settling, request.method, tagger.model, sample.encoded, n_lowest=k)
        scores = score(
            seed=request.seed,
            precision=tagger.precision,
            progress=console.progress,
            resume_file=unfinished,
            options=options,
        )
        scores = replace(scores, **facts, settings={**scores.settings, **settings})
        if request.out is not None:
            write_scores(request.out, scores)
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)
    for name, value in vars(options).items():
        if (used := scores.settings.get(name, value)) != value:
            console.note(f"option {name} {value}: this model has {head_mask(tagger.model).n_kept} heads, so {used} was used")
    document = scores_document(scores) | {
        "ranking": [str(head) for head in order_of(scores, normalisation=request.normalise)],
        "task": tagger.task.name,
        "data": sample.facts,
        "words": sample.words,
        "new_classifier": sample.is_new,
    }
    console.result(document, wrapped(_text(document, request.normalise)))
    return DONE


def _text(document: dict[str, Any], normalise: str) -> str:
    scores, ranking, passes, seconds = (document[key] for key in ("scores", "ranking", "passes", "seconds"))
    heads = map(HeadId.parse, ranking)
    rows = [[place, head, f"{scores[head.layer][head.head]:.6g}"] for place, head in enumerate(heads, start=1)]
    said = "".join(f"\n{line}" for line in _estimate(document["settings"]))
    words = f"; words are {document['words']}" if find_task(document["task"]).unit == "word" else ""
    forward, backward = (f"{round(passes[name], 2):g}" for name in ("forward", "backward"))
    return (
        f"{text_picture(scores)}\n{_LEGEND}\n\n{markdown(['place', 'layer.head', 'score'], rows)}\n\n"
        f"least important first; method {document['method']}, normalisation {normalise}, {seconds:.1f} s, "
        f"{forward} forward and {backward} backward passes over the data{words}" + said
    )


def _estimate(settings: Mapping[str, Any]) -> list[str]:
    """How far to trust what a method estimated, by what it recorded of that."""
    lines = []
    if "differ_at_most" in settings:
        read, of = settings["sentences_read"], settings["sentences"]
        lines.append(
            f"the lowest {settings['until_settled']}: "
            + (
                f"at most {settings['differ_at_most']} would differ after a full pass, near ties within "
                f"{100 * settings['near_tie']:g} % aside (95 % confidence at every look); {read:,} of {of:,} sentences read"
                if read < of
                else f"not settled before all {of:,} sentences were read; these are the scores of a full pass"
            )
        )
    if "settled" in settings:
        reached = settings["epsilon"]
        share = "" if reached is None else f" by {100 * reached:.2g} % of what all heads together are worth (2 % allowed)"
        state = "settled" if settings["settled"] else "NOT settled"
        lines.append(
            f"the lowest {settings['n_lowest']} are {state}: their intervals overlap those of the other heads{share}; "
            f"{settings['rounds']} rounds, {settings['sentence_passes']:,.0f} passes of a sentence (the published estimator: "
            "some 74 million per language)"
        )
    if settings.get("conserved") is not None:
        advice = "biases take the rest, and far from 100 %, compare heads within one layer only"
        lines.append(f"{100 * settings['conserved']:.3g} % of the relevance arrives at the lowest layer; {advice}")
    return lines
