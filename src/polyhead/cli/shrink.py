"""`polyhead shrink`: a tagger as fast or as small as asked."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from polyhead.cli.console import Console
from polyhead.cli.exit_codes import CHECK_FAILED, DONE
from polyhead.cli.inputs import FEW, note_reading, opened, other_words, reader, task_for
from polyhead.cli.outputs import check_folder, partial_of
from polyhead.cli.shrink_requests import ShrinkRequest
from polyhead.cli.texts import texts_by_language
from polyhead.core.errors import SettingError, note_kept
from polyhead.core.store import writing
from polyhead.core.values import counted, jsonable
from polyhead.data.labels import unshared_labels
from polyhead.data.references import one_word_choice, references
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.learning.resumable import make_replaceable
from polyhead.models.model_card import CardScore, ModelCard
from polyhead.report.reading import short
from polyhead.report.tables import markdown, shown_number, title
from polyhead.studies.shrink_state import kept_files
from polyhead.studies.shrink_steps import wanted
from polyhead.studies.shrink_work import by_language
from polyhead.studies.shrinking import shrunk
from polyhead.studies.shrunk import Change, LanguageLoss, Shrunk
from polyhead.studies.tagger import Tagger


def shrink(request: ShrinkRequest, console: Console) -> int:
    """Read dev text and the texts to trim by, search, judge, save."""
    out = request.out
    if out is not None and not request.dry_run:
        check_folder("--out", out, new=True)
    task = task_for(request, console)
    texts = texts_by_language("--text", request.text, request.corpus, request.data, "train")
    tagger = opened(request, task)
    dev = _dev(request, tagger, console)
    languages = tuple(dict.fromkeys(request.languages))
    named = by_language(dev, languages)  # before anything is computed
    if unjudged := [language for language in texts if language not in named]:
        said = f"text of {', '.join(unjudged)} without dev text: its subwords stay, and what it loses is not measured"
        console.note(f"note: {said}")
    if request.spec.distil and not request.dry_run:
        spent = f"{request.spec.distil:g} processor minutes, after the search and the repair"
        console.note(f"note: distillation takes {spent}, and learns from text in {', '.join(texts) or 'no language'}")

    def searched(file: Path | None) -> Shrunk:
        return shrunk(
            tagger,
            dev,
            replace(request.spec, seed=request.seed),
            languages=languages,
            texts=texts,
            measure=not request.dry_run,
            resume_file=file,
            progress=console.progress,
        )

    if out is None or request.dry_run:
        found, saved, kept = searched(None), False, None
    else:
        files = kept_files(partial_of(out))
        with writing(out):
            try:
                found = searched(files.rounds)
                saved = found.met or request.best_effort
                if saved:
                    found.tagger.save(out, card=_card(request, found))
            except KeyboardInterrupt as stop:  # also while the finished rounds are judged
                if (kept := _first(files)) is not None:
                    note_kept(stop, kept)
                raise
            for file in files:
                if saved:
                    file.unlink(missing_ok=True)
                else:
                    make_replaceable(file)
        kept = _first(files)
    document = _document(request, found, saved=saved, kept=kept)
    console.result(document, _text(request, found, saved=saved, kept=kept))
    return DONE if found.met or request.best_effort else CHECK_FAILED


def _first(files: Sequence[Path]) -> Path | None:
    """The first that exists."""
    return next((file for file in files if file.exists()), None)


def _dev(request: ShrinkRequest, tagger: Tagger, console: Console) -> list[Dataset]:
    """The dev sets; what a reader of the result should know of them is noted.

    Raises:
        PolyheadError: One cannot be read, or has none of the model's labels.
    """
    named = references(request.dev, "dev")
    console.note(other_words(tagger, one_word_choice(named)))
    files = reader(request, tagger.task)
    sets = [sample(files.open(reference, "dev"), request.limit, seed=request.seed) for reference in named]
    note_reading(console, *sets)
    for own in sets:
        if said := unshared_labels(tagger.labels, own):
            raise SettingError(f"{tagger.name}: {said}, so its loss on {own.language} cannot be measured")
    if few := [own for own in sets if len(own.sentences) // 2 < FEW]:
        each = ", ".join(f"{own.language} {len(own.sentences) // 2}" for own in few)
        console.note(f"note: half of the dev text judges the loss, few sentences in some languages ({each}); give more")
    return sets


def _card(request: ShrinkRequest, found: Shrunk) -> ModelCard:
    base = "" if Path(request.model).is_dir() else request.model
    card = ModelCard.read(request.model, revision=request.revision) or ModelCard(base_model=base)
    languages = ", ".join(own.language for own in found.losses)
    vocabulary = card.vocabulary
    if found.subwords.after != found.subwords.before:
        vocabulary = f"{found.subwords.after:,.0f} of {found.subwords.before:,.0f} subwords, those that text in {languages} needs"
    scores = tuple(
        CardScore(f"{short(own.data)} dev", own.language, own.metric, own.after / 100, own.before / 100) for own in found.losses
    )
    return replace(
        card,
        task=found.tagger.task.name,
        ranking="one of the plans that the model was trained under"
        if found.trained
        else f"heads and neurons by Fisher information on half of the dev text in {languages}; {_protected(request)}",
        choice=f"{wanted(request.spec)} was asked for{_given_up(request, found)}; {_figures(request, found)}",
        vocabulary=vocabulary,
        scores=scores,
        caveat="Scores on the half of the dev text that heads and neurons were not chosen on; unpruned: before shrinking.",
    )


def _given_up(request: ShrinkRequest, found: Shrunk) -> str:
    return "" if found.met else f" and not reached: a language would have lost more than {request.spec.max_loss:g} points"


def _protected(request: ShrinkRequest) -> str:
    return "the language that needs one most decides" if request.spec.protect == "worst" else "the mean over languages decides"


def _document(request: ShrinkRequest, found: Shrunk, *, saved: bool, kept: Path | None) -> dict[str, Any]:
    plan, counts = found.plan, found.plan.counts
    return {
        "schema": 1,
        "model": request.model,
        "out": str(request.out) if saved else None,
        "kept": None if kept is None else str(kept),
        "dry_run": request.dry_run,
        "asked": {name: value for name, value in jsonable(asdict(request.spec)).items() if name not in ("rule", "seed")},
        "seed": request.seed,
        "limit": request.limit,
        "met": found.met,
        "missed": found.missed,
        "speedup": found.speedup,
        "milliseconds": found.milliseconds,
        "megabytes": found.megabytes,
        "subwords": {"before": found.subwords.before, "after": found.subwords.after},
        "heads_per_layer": [heads for heads, _ in counts],
        "neurons_per_layer": [neurons for _, neurons in counts],
        "before": {
            "heads_per_layer": [heads for heads, _ in found.before.counts],
            "neurons_per_layer": [neurons for _, neurons in found.before.counts],
        },
        "pruned_heads": [str(head) for head in plan.heads.pruned],
        "trained_plan": found.trained,
        "distilled": found.distilled,
        "languages": [{**asdict(own), "lost": own.lost} for own in found.losses],
    }


def _text(request: ShrinkRequest, found: Shrunk, *, saved: bool, kept: Path | None) -> str:
    done = f"saved {request.out}" if saved else "plan" if request.dry_run else "nothing was written; the best within --max-loss"
    lines = [f"{done}: {_figures(request, found)}"]
    if found.trained:
        lines.append("the plan is one that the model was trained under: nothing was searched or repaired")
    if (own := found.distilled) is not None:
        lines.append(f"distilled in {counted(own.steps, 'step')} of {counted(own.batch_size, 'sentence')}")
    if found.missed:
        lines.append(found.missed)
    if kept is not None:
        lines.append(f"the same command with --best-effort writes it, from the work kept in {kept}: nothing is searched again")
    metric = title(found.losses[0].metric)
    rows = [
        [own.language, own.data, f"{own.sentences:,}", *map(shown_number, (own.before, own.after, own.lost)), _interval(own)]
        for own in found.losses
    ]
    before = found.before.counts
    layers = [
        [str(layer), f"{heads} of {before[layer][0]}", f"{neurons:,} of {before[layer][1]:,}"]
        for layer, (heads, neurons) in enumerate(found.plan.counts)
    ]
    return "\n\n".join(
        [
            "\n".join(lines),
            markdown(["language", "dev", "sentences", f"{metric}: before", "after", "lost", "95 % interval"], rows),
            "in points, 0 to 100, on the half of the dev text that heads and neurons were not chosen on",
            markdown(["layer", "heads", "neurons"], layers),
        ]
    )


def _interval(own: LanguageLoss) -> str:
    return f"{shown_number(own.low)} to {shown_number(own.high)}"


def _figures(request: ShrinkRequest, found: Shrunk) -> str:
    """Speed, megabytes and subwords in one line."""
    parts = [_arrow(found.megabytes, "MB")]
    if found.milliseconds is not None and found.speedup is not None:
        took = f"{_arrow(found.milliseconds, 'ms')} for a batch of {request.spec.batch} x {request.spec.length}"
        if request.spec.times:
            parts.insert(0, f"{found.speedup:.2f} times as fast ({took})")
        else:
            parts.append(took)
    if found.subwords.after != found.subwords.before:
        parts.append(f"{found.subwords.before:,.0f} → {found.subwords.best:,.0f} subwords")
    return ", ".join(parts)


def _arrow(own: Change, unit: str) -> str:
    digits = 2 if own.before < 10 else 1
    predicted = "" if own.after is not None or own.predicted is None else " predicted"
    return f"{own.before:,.{digits}f} → {own.best:,.{digits}f} {unit}{predicted}"
