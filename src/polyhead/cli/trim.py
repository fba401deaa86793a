"""`polyhead trim`: a model with the subwords that some languages need."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from polyhead.cli.console import Console
from polyhead.cli.exit_codes import DONE
from polyhead.cli.outputs import check_folder
from polyhead.cli.requests import TrimRequest
from polyhead.cli.texts import texts_by_language
from polyhead.compression.embedding_rows import config_ids
from polyhead.compression.segmentation import Segmentation
from polyhead.compression.subword_choice import Limits
from polyhead.compression.vocabulary import Trimmed, trim_model, trim_tokenizer
from polyhead.core.errors import SettingError
from polyhead.core.store import writing
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.loading import load_saved, load_tokenizer
from polyhead.models.model_card import ModelCard
from polyhead.models.saving import save_pruned
from polyhead.report.tables import markdown


def trim(request: TrimRequest, console: Console) -> int:
    """Count subwords, choose them, reduce the model, save it."""
    check_folder("--out", request.out, new=True)
    limits = Limits(
        coverage=request.coverage, min_count=request.min_count, max_size=request.max_size, characters=request.characters
    )
    texts = texts_by_language("--text", request.text, request.corpus, request.data, request.split)
    if not texts:
        raise SettingError("no text: give --text LANGUAGE=FILE, for example de=news.txt, or --corpus NAME")
    files = [name for name in request.held_out if "=" in name]
    corpora = [name for name in request.held_out if "=" not in name]
    held_out = texts_by_language("--held-out", files, corpora, request.data, "test") or None
    tokenizer = load_tokenizer(request.model, revision=request.revision)
    model = load_saved(request.model, revision=request.revision)  # before its row is needed, which a proof may have to find
    needed = config_ids(model.config)
    smaller = trim_tokenizer(tokenizer, texts, limits, needed=needed, held_out=held_out, progress=console.progress)
    found = trim_model(model, smaller)
    encoding = EncodingChoice.read(request.model, revision=request.revision)
    base = "" if Path(request.model).is_dir() else request.model
    card = ModelCard.read(request.model, revision=request.revision) or ModelCard(base_model=base)
    card = replace(card, vocabulary=_card_line(found, scored=bool(card.scores)))
    with writing(request.out):
        save_pruned(found.model, request.out, tokenizer=found.tokenizer, card=card, encoding=encoding)
    console.result(_document(request, found), _text(request, found))
    return DONE


def _card_line(found: Trimmed, *, scored: bool) -> str:
    line = f"{len(found.rows):,} of {found.rows_before:,} subwords, those that text in {', '.join(found.seen)} needs"
    return f"{line}; the scores are those before trimming" if scored else line


def _document(request: TrimRequest, found: Trimmed) -> dict[str, Any]:
    return {
        "schema": 1,
        "model": request.model,
        "out": str(request.out),
        "subwords": {"before": found.rows_before, "after": len(found.rows)},
        "bytes": {"before": found.bytes_before, "after": found.bytes_after},
        "limits": {name: getattr(request, name) for name in ("coverage", "min_count", "max_size", "characters")},
        "held_out": "every tenth line" if not request.held_out else list(request.held_out),
        "languages": {
            language: {"seen": _facts(own), "held_out": _facts(found.held_out[language])} for language, own in found.seen.items()
        },
    }


def _facts(own: Segmentation | None) -> dict[str, Any] | None:
    if own is None:
        return None
    return {**asdict(own), "changed_share": own.changed_share, "unknown_share": own.unknown_share}


def _text(request: TrimRequest, found: Trimmed) -> str:
    rows = []
    for language, own in found.seen.items():
        other = found.held_out[language]
        rows.append(
            [
                language,
                f"{own.words:,}",
                *_shares(own),
                *(("–", "–", "–") if other is None else (f"{other.words:,}", *_shares(other))),
            ]
        )
    names = ["language", "words", "changed", "new unknown", "held-out words", "changed", "new unknown"]
    held = "the text given" if request.held_out else "every tenth line, segmented by a vocabulary chosen without it"
    sizes = " → ".join(f"{n / 1e6:,.1f} MB" for n in (found.bytes_before, found.bytes_after))
    return (
        f"saved {request.out}: {len(found.rows):,} of {found.rows_before:,} subwords, {sizes}\n\n{markdown(names, rows)}\n\n"
        "changed: words segmented otherwise than before; new unknown: those that now hold the unknown token\n"
        f"held-out: {held}"
    )


def _shares(own: Segmentation) -> tuple[str, str]:
    return _percent(own.changed_share), _percent(own.unknown_share)


def _percent(share: float) -> str:
    return "0 %" if not share else f"{100 * share:.2f} %" if share >= 0.0001 else "<0.01 %"
