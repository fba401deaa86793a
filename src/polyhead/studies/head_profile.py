"""What each head does in each language of a run, by the unpruned fine-tuned model: the file `heads.json` beside the result."""

import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from transformers import PreTrainedModel

from polyhead.core.errors import DataFormatError, PolyheadError, SettingError
from polyhead.core.files import read_json, write_text_atomic
from polyhead.core.values import fingerprint, jsonable
from polyhead.data.references import DataReference, references
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.importance.methods import METHODS
from polyhead.report.finished_run import HEADS
from polyhead.studies.finetunes import FineTuned, RunContext, load_fine_tuned
from polyhead.studies.inputs import reader_of
from polyhead.studies.language_profile import language_profile

logger = logging.getLogger(__name__)

SCHEMA: Final = 1
_MOST_PASSES: Final = 64.0


def profile_heads(context: RunContext, full: FineTuned, folder: Path, *, n_sentences: int) -> Path:
    """The path of `heads.json` in `folder`: scores, effects, attention and examples of every head in every language of the run.

    Looks at a seeded sample of the dev split of every source and target, never at a test split; a language that has no dev split,
    or whose sample cannot be used, is named in the file under `left_out` with the reason. Costs a language the scorings, one
    forward pass for attention, and 1 + H(L + 1)/2 passes for the effects. Does nothing if the file is there and of the same run.
    Stopped and called again it goes on after the last finished language.

    Args:
        context: Of the run.
        full: The unpruned fine-tuning of the run's first seed.
        folder: Of the results.
        n_sentences: Most sentences a language.

    Raises:
        StoreError: The folder cannot be written to, or the fine-tuned model cannot be had again.
    """
    path = folder / HEADS
    methods = profiled_methods(context)
    what = fingerprint(
        {
            "schema": SCHEMA,
            "settings": asdict(context.settings),
            "model_hash": context.model_hash,
            "data": [context.inputs.data_hash, context.inputs.test_hash],
            "seed": full.train.seed,
            "precision": context.precision,
            "methods": methods,
            "n_sentences": n_sentences,
        }
    )
    if path.is_file() and _made_of(path) == what:
        return path
    parts = full.folder / f"profile-{what}"
    languages: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    model: PreTrainedModel | None = None
    for place, reference in enumerate(_references(context)):
        part = parts / f"{place}.json"
        if not part.is_file():
            model = model if model is not None else load_fine_tuned(context, full)
            found = _one(context, model, reference, methods, seed=full.train.seed, n_sentences=n_sentences)
            write_text_atomic(part, _text(found))
        found = read_json(part)
        (left_out if "why" in found else languages).append(found)
    record = {
        "schema": SCHEMA,
        "made_of": what,
        "model_hash": context.model_hash,
        "seed": full.train.seed,
        "method": methods[0],
        "shape": [context.present.n_layers, context.present.n_heads],
        "n_sentences": n_sentences,
        "languages": languages,
        "left_out": left_out,
    }
    write_text_atomic(path, _text(record))
    shutil.rmtree(parts, ignore_errors=True)
    return path


def profiled_methods(context: RunContext) -> tuple[str, ...]:
    """The run's own method, unless it takes too many passes a language, and those whose row says `profiles_heads`."""
    shape = context.present.n_layers, context.present.n_heads
    own = METHODS[context.settings.method]
    always = [row.name for row in METHODS.values() if row.profiles_heads]
    return tuple(dict.fromkeys((*([own.name] if own.takes_at_most(_MOST_PASSES, *shape) else []), *always)))


def _made_of(path: Path) -> object:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return held.get("made_of") if isinstance(held, dict) else None


def _text(record: object) -> str:
    return json.dumps(jsonable(record), ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"


def _references(context: RunContext) -> Iterator[DataReference]:
    """Sources and then targets, each corpus once."""
    seen: set[str] = set()
    settings = context.settings
    for reference in (*references(settings.sources, "source"), *references(settings.targets, "target")):
        if reference.text not in seen:
            seen.add(reference.text)
            yield reference


def _one(
    context: RunContext, model: PreTrainedModel, reference: DataReference, methods: Sequence[str], *, seed: int, n_sentences: int
) -> dict[str, Any]:
    """The profile of one language, or its name and why there is none."""
    try:
        dev = _dev(context, reference)
        drawn = sample(dev, n_sentences, seed=context.settings.sample_seed)
        return language_profile(context, model, drawn, methods, words=reference.words, seed=seed)
    except PolyheadError as error:
        logger.warning("heads of %s are not profiled: %s", reference.text, error)
        return {"name": reference.text, "language": context.inputs.languages.get(reference.text, ""), "why": str(error)}


def _dev(context: RunContext, reference: DataReference) -> Dataset:
    """The dev split; of a source without one, what was held out of its training data."""
    settings = context.settings
    reader = reader_of(settings, context.inputs.task, merge=settings.rules.merge_types)
    if reference.text in settings.sources:
        dev = reader.train_and_dev(reference, seed=settings.sample_seed)[1]
    elif reference.has("dev"):
        dev = reader.open(reference, "dev")
    else:
        raise SettingError(
            f"{reference.text}: has no dev split, and a test split is not looked at; write LANGUAGE=TRAIN:DEV:TEST"
        )
    tests = {record["sha256"] for record in context.inputs.records if record["split"] == "test"}
    if dev.sha256 in tests:
        raise DataFormatError(f"{reference.text}: its dev file is a test file of this run, which is not looked at")
    return dev
