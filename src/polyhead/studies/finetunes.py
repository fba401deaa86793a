"""Fine-tunings done once: named by what decides their weights, and kept with their figures for reuse."""

import shutil
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from transformers import PreTrainedModel

from polyhead.core.errors import CheckpointError, StoreError
from polyhead.core.files import remove_leftovers, sha256_of
from polyhead.core.heads import HeadMask
from polyhead.core.progress import Checking
from polyhead.core.specs import TrainSpec
from polyhead.core.store import MODEL, Record
from polyhead.core.values import fingerprint
from polyhead.learning.inference import Labelled
from polyhead.learning.nested import NestedMasks
from polyhead.learning.training import fit
from polyhead.models.environment import machine, warn_of_another_machine
from polyhead.models.loading import load_tagger
from polyhead.models.pruning import prune
from polyhead.models.saving import save_pruned
from polyhead.studies.context import RunContext
from polyhead.studies.evaluations import SENTENCES, Figures, drawn_part, figures_of, figures_once, kept_figures, points
from polyhead.studies.kept import model_files, remember
from polyhead.studies.prune_after import prune_after, repair_facts
from polyhead.studies.stages import version

# Points that a score may move when equal work is done again: one changed word in ten thousand.
_SAME_POINTS = 0.01


@dataclass(frozen=True)
class FineTuned:
    """A finished fine-tuning.

    Attributes:
        folder: Its own; the checkpoint is in `model/` for as long as the run needs it.
        train: How it was trained.
        mask: Heads it has.
        nested: Masks that it, or the model it was pruned from, was trained under; None for an ordinary fine-tuning.
        dev: Figures on the selection data by corpus name, see `selection_of`.
        seconds: Wall-clock time, over all interruptions.
    """

    folder: Path
    train: TrainSpec
    mask: HeadMask
    nested: NestedMasks | None
    dev: Mapping[str, Figures]
    seconds: float


def fine_tuned(context: RunContext, train: TrainSpec, mask: HeadMask, *, nested: NestedMasks | None = None) -> FineTuned:
    """The encoder fine-tuned with the heads of `mask`, now or in an earlier run; costs nothing if it is already there.

    Heads are pruned before training; or, if the search says so, after it from the full fine-tuned model, without training but
    with a repair if asked for; or masked only while training (protocol `paper-released`). With `nested` masks the encoder is
    trained under these, with all heads; a smaller `mask` is then pruned from that model, without training.
    """
    what = _facts_of(context, train, mask, nested)
    folder = context.store.folder_of(fingerprint(what))
    record, dev = context.store.get(folder.name), _kept_dev(context, folder, nested)
    if record is None or dev is None:
        with context.store.working(folder.name):
            record, dev = _made(context, FineTuned(folder, train, mask, nested, {}, 0.0), what)
    return FineTuned(folder, train, mask, nested, dev, float(record.result["seconds"]))


def selection_of(context: RunContext, nested: NestedMasks | None) -> tuple[dict[str, Labelled], dict[str, str]]:
    """The selection data that a fine-tuning is scored on by name, a drawn part under nested masks, and the hash of each."""
    data, keys = dict(context.inputs.selection), dict(context.inputs.dev_keys)
    if nested is None:
        return data, keys
    drawn = {name: drawn_part(context, own) for name, own in data.items()}
    return drawn, {name: fingerprint([keys[name], SENTENCES, context.settings.sample_seed]) for name in drawn}


def _kept_dev(context: RunContext, folder: Path, nested: NestedMasks | None) -> dict[str, Figures] | None:
    return kept_figures(folder, *selection_of(context, nested))


def _made(context: RunContext, fit_: FineTuned, what: dict[str, Any]) -> tuple[Record, dict[str, Figures]]:
    """The record of a fine-tuning and its dev figures; trains the model unless another process has done so meanwhile."""
    folder, started = fit_.folder, time.perf_counter()
    record = context.store.get(folder.name)
    if record is not None:
        return record, figures_once(context, folder, *selection_of(context, fit_.nested), lambda: load_fine_tuned(context, fit_))
    remove_leftovers(folder / MODEL)
    checkpoint, facts = _checkpoint(context, folder), dict[str, Any]()
    if checkpoint is None:
        model, facts = _trained(context, fit_.train, fit_.mask, fit_.nested, folder)
        _save(context, model, folder)
    else:
        model = _loaded(context, checkpoint)
    dev = figures_once(context, folder, *selection_of(context, fit_.nested), lambda: model)
    seconds = time.perf_counter() - started + float(facts.get("seconds_before", 0.0))
    record = Record(what, {"seconds": seconds, "fit": facts, "machine": machine(context.device)})
    context.store.put(record)
    remember(folder, "record.json")
    shutil.rmtree(folder / "state", ignore_errors=True)
    return record, dev


def fit_folder(context: RunContext, train: TrainSpec, mask: HeadMask) -> Path:
    """Folder of the fine-tuning, which may not exist yet."""
    return context.store.folder_of(fingerprint(_facts_of(context, train, mask, None)))


def _facts_of(context: RunContext, train: TrainSpec, mask: HeadMask, nested: NestedMasks | None) -> dict[str, Any]:
    """Everything that decides a fine-tuning's weights."""
    settings, when = context.settings, when_pruned(context, mask, nested)
    return {
        "stages": {name: version(name) for name in ("reading", "training")},
        "model": settings.model,
        "revision": settings.revision,
        "model_hash": context.model_hash,
        "task": context.inputs.task.name,
        "labels": context.inputs.encoder.labels.names,
        "data": context.inputs.train_hash,
        "train": asdict(train),
        "precision": context.precision,
        "pruned": [str(head) for head in mask.pruned],
        "when": when,
        **(repair_facts(settings) if when == "after" else {}),
        **({} if nested is None else {"nested": fingerprint(nested)}),
    }


def when_pruned(context: RunContext, mask: HeadMask, nested: NestedMasks | None) -> Literal["before", "after", "masked"]:
    """When heads leave the model: before training, after it, or never (masked while training)."""
    if context.settings.rules.mask_in_training_only:
        return "masked"
    prunes_after = nested is not None or context.settings.search.prune == "after"
    return "after" if prunes_after and mask.n_pruned > context.present.n_pruned else "before"


def _trained(
    context: RunContext, train: TrainSpec, mask: HeadMask, nested: NestedMasks | None, folder: Path
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The fine-tuned model and the record of its training, which is empty where none was needed."""
    settings, when = context.settings, when_pruned(context, mask, nested)
    if when == "after":
        full = load_fine_tuned(context, fine_tuned(context, train, context.present, nested=nested))
        return prune_after(full, mask, settings, context.inputs, precision=context.precision, progress=context.progress), {}
    model = load_tagger(
        settings.encoder,
        labels=context.inputs.encoder.labels,
        seed=train.seed,
        revision=settings.revision,
        kind=context.inputs.task.kind,
    )
    if when == "before":
        prune(model, mask)
    record = fit(
        model,
        context.inputs.train,
        train,
        mask=mask if when == "masked" else nested,
        device=context.device,
        resume_file=folder / "state" / "training.partial",
        progress=Checking(context.progress, lambda: context.store.check(folder.name)),
    )
    return model, asdict(record)


def tested(context: RunContext, fit_: FineTuned) -> dict[str, Figures]:
    """Test figures of a finished fine-tuning by target name; targets not tested before go through the model in one pass."""
    tests, keys = context.inputs.tests, context.inputs.test_keys
    found = kept_figures(fit_.folder, tests, keys)
    if found is None:
        with context.store.working(fit_.folder.name):
            found = figures_once(context, fit_.folder, tests, keys, lambda: load_fine_tuned(context, fit_))
    return found


def load_fine_tuned(context: RunContext, fit_: FineTuned) -> PreTrainedModel:
    """The fine-tuned model itself, from its checkpoint; trained again if that was dropped.

    Raises:
        StoreError: Trained again it scores differently, for example on another processor or with other threads.
    """
    checkpoint = _checkpoint(context, fit_.folder)
    if checkpoint is None:
        with context.store.working(fit_.folder.name):
            checkpoint = _checkpoint(context, fit_.folder) or _trained_again(context, fit_)
    try:
        return _loaded(context, checkpoint)
    except (OSError, CheckpointError):
        if checkpoint.is_dir():
            raise
        return load_fine_tuned(context, fit_)  # another process dropped the weights meanwhile


def _trained_again(context: RunContext, fit_: FineTuned) -> Path:
    """The checkpoint of a fine-tuning whose weights were dropped.

    Raises:
        StoreError: It scores differently.
    """
    model, _ = _trained(context, fit_.train, fit_.mask, fit_.nested, fit_.folder)
    if fit_.dev:
        selection, _ = selection_of(context, fit_.nested)
        now, then = points(context, figures_of(context, model, selection)), points(context, fit_.dev)
        if abs(now - then) > _SAME_POINTS:
            raise StoreError(f"{fit_.folder}: trained again it scores {now:.3f} on dev, not {then:.3f}: start in another folder")
    checkpoint = _save(context, model, fit_.folder)
    shutil.rmtree(fit_.folder / "state", ignore_errors=True)
    return checkpoint


def _checkpoint(context: RunContext, folder: Path) -> Path | None:
    """Folder of a fine-tuning's weights: its own, or the saved model's if its weights are the same; None if they were dropped."""
    if (folder / MODEL).is_dir():
        return folder / MODEL
    wanted, saved = model_files(folder), context.saved
    if saved is None or not wanted:
        return None
    same = all((saved / name).is_file() and sha256_of(saved / name) == sha for name, sha in wanted.items())
    return saved if same else None


def _save(context: RunContext, model: PreTrainedModel, folder: Path) -> Path:
    context.store.check(folder.name)
    save_pruned(model, folder / MODEL, tokenizer=context.inputs.encoder.tokenizer, overwrite=True)
    remember(folder, MODEL)
    return folder / MODEL


def _loaded(context: RunContext, checkpoint: Path) -> PreTrainedModel:
    return load_tagger(checkpoint, labels=context.inputs.encoder.labels, kind=context.inputs.task.kind).to(context.device)


def forget_checkpoints(context: RunContext, folders: Iterable[Path], needed: Collection[Path]) -> None:
    """Remove the weights of these fine-tunings, except those needed; figures, counts and scores stay."""
    context.store.forget(sorted(set(folders).difference(needed)))


def warn_of_changes(context: RunContext) -> None:
    """Log, once each, the versions, thread counts and devices of kept fine-tunings that are not those of now."""
    now = machine(context.device)
    for name, value in sorted({fact for record in context.store.records() for fact in record.result["machine"].items()}):
        warn_of_another_machine("this run", {name: now.get(name, "unknown")}, {name: value})
