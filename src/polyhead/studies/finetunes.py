"""Fine-tunings done once: named by what decides their weights, and kept with their figures for reuse."""

import logging
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from polyhead.core.errors import StoreError
from polyhead.core.files import remove_leftovers
from polyhead.core.heads import HeadMask
from polyhead.core.progress import Progress
from polyhead.core.specs import TrainSpec
from polyhead.core.store import Record, RunStore
from polyhead.core.values import fingerprint
from polyhead.learning.inference import Evaluation, Labelled, evaluate
from polyhead.learning.metrics import metric_from_counts
from polyhead.learning.training import fit
from polyhead.models.devices import Precision
from polyhead.models.environment import versions
from polyhead.models.loading import load_tagger
from polyhead.models.pruning import prune
from polyhead.models.saving import save_pruned
from polyhead.studies.evaluations import Figures, keep_figures, kept_figures
from polyhead.studies.inputs import Inputs
from polyhead.studies.kept import MODEL, model_files, remember, sha256_of
from polyhead.studies.prune_after import cut_after, repair_facts
from polyhead.studies.settings import RunSettings
from polyhead.studies.stages import version

logger = logging.getLogger(__name__)

# Points that a score may move when equal work is done again: one changed word in ten thousand.
_SAME_POINTS = 0.01


@dataclass(frozen=True)
class RunContext:
    """What the cells of a run work with.

    Attributes:
        settings: Of the run.
        inputs: Its data, encoded.
        store: Store of finished fine-tunings.
        model_hash: Of the pre-trained encoder's files, or the commit of a hub id.
        present: Heads that the pre-trained encoder has.
        device: Where everything runs.
        precision: Of training, scoring and evaluation alike.
        progress: Updated after every step.
        saved: Folder of the run's pruned model, which has the weights of one of its fine-tunings.
    """

    settings: RunSettings
    inputs: Inputs
    store: RunStore
    model_hash: str
    present: HeadMask
    device: torch.device
    precision: Precision
    progress: Progress
    saved: Path | None = None


@dataclass(frozen=True)
class FineTuned:
    """A finished fine-tuning.

    Attributes:
        folder: Its own; the checkpoint is in `model/` for as long as the run needs it.
        train: How it was trained.
        mask: Heads it has.
        dev: Figures on the selection data by corpus name.
        seconds: Wall-clock time, over all interruptions.
    """

    folder: Path
    train: TrainSpec
    mask: HeadMask
    dev: Mapping[str, Figures]
    seconds: float


def fine_tuned(context: RunContext, train: TrainSpec, mask: HeadMask) -> FineTuned:
    """The encoder fine-tuned with the heads of `mask`, now or in an earlier run; costs nothing if it is already there.

    Heads are pruned before training; or, if the search says so, after it from the full fine-tuned model, without training but
    with a repair if asked for; or masked only while training (protocol `paper-released`).
    """
    what = _facts_of(context, train, mask)
    folder = context.store.folder_of(fingerprint(what))
    kept = folder / f"dev-{version('evaluation')}"
    record, dev = context.store.get(folder.name), kept_figures(kept)
    if record is None or dev is None:
        started = time.perf_counter()
        remove_leftovers(folder / MODEL)
        facts: dict[str, Any] = {}
        checkpoint = None if record is None else _checkpoint(context, folder)
        if checkpoint is None:
            model, facts = _trained(context, train, mask, folder)
            _save(context, model, folder)
        else:
            model = _loaded(context, checkpoint)
        dev = _figures(context, model, context.inputs.selection)
        keep_figures(kept, dev)
        if record is None:
            machine = {**versions(), "threads": str(torch.get_num_threads()), "device": str(context.device)}
            seconds = time.perf_counter() - started + float(facts.get("seconds_before", 0.0))
            record = Record(what, {"seconds": seconds, "fit": facts, "machine": machine})
            context.store.put(record)
            remember(folder, "record.json")
    shutil.rmtree(folder / "state", ignore_errors=True)
    _warn_of_changes(context, record)
    return FineTuned(folder, train, mask, dev, float(record.result["seconds"]))


def fit_folder(context: RunContext, train: TrainSpec, mask: HeadMask) -> Path:
    """Folder of the fine-tuning, which may not exist yet."""
    return context.store.folder_of(fingerprint(_facts_of(context, train, mask)))


def _facts_of(context: RunContext, train: TrainSpec, mask: HeadMask) -> dict[str, Any]:
    """Everything that decides a fine-tuning's weights, and its selection data."""
    settings = context.settings
    return {
        "stages": {name: version(name) for name in ("reading", "training")},
        "model": settings.model,
        "revision": settings.revision,
        "model_hash": context.model_hash,
        "task": context.inputs.task.name,
        "labels": context.inputs.labels.names,
        "data": context.inputs.data_hash,
        "train": asdict(train),
        "precision": context.precision,
        "pruned": [str(head) for head in mask.pruned],
        "when": _when(context, mask),
        "select_on": sorted(context.inputs.selection),
        **(repair_facts(settings) if _when(context, mask) == "after" else {}),
    }


def _warn_of_changes(context: RunContext, record: Record) -> None:
    now = {**versions(), "threads": str(torch.get_num_threads()), "device": str(context.device)}
    for name, value in record.result["machine"].items():
        if now.get(name) != value:
            logger.warning(
                "a fine-tuning of this run used %s %s, now it is %s: the last digits of its result may differ",
                name,
                value,
                now.get(name),
            )


def _when(context: RunContext, mask: HeadMask) -> str:
    if context.settings.rules.mask_in_training_only:
        return "masked"
    return "after" if context.settings.search.prune == "after" and mask.n_pruned > context.present.n_pruned else "before"


def _trained(context: RunContext, train: TrainSpec, mask: HeadMask, folder: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The fine-tuned model and the record of its training, which is empty where none was needed."""
    settings, when = context.settings, _when(context, mask)
    if when == "after":
        full = load_fine_tuned(context, fine_tuned(context, train, context.present))
        return cut_after(full, mask, settings, context.inputs, precision=context.precision, progress=context.progress), {}
    model = load_tagger(settings.model, labels=context.inputs.labels, seed=train.seed, revision=settings.revision)
    if when == "before":
        prune(model, mask)
    record = fit(
        model,
        context.inputs.train,
        train,
        mask=mask if when == "masked" else None,
        device=context.device,
        resume_file=folder / "state" / "training.partial",
        progress=context.progress,
    )
    return model, asdict(record)


def tested(context: RunContext, fit_: FineTuned) -> dict[str, Figures]:
    """Test figures of a finished fine-tuning by target name; all targets go through the model in one pass, once."""
    path = fit_.folder / f"test-{context.inputs.test_hash}-{version('evaluation')}"
    found = kept_figures(path)
    if found is None:
        found = _figures(context, load_fine_tuned(context, fit_), context.inputs.tests)
        keep_figures(path, found)
    return found


def load_fine_tuned(context: RunContext, fit_: FineTuned) -> PreTrainedModel:
    """The fine-tuned model itself, from its checkpoint; trained again if that was dropped.

    Raises:
        StoreError: Trained again it scores differently, for example on another processor or with other threads.
    """
    checkpoint = _checkpoint(context, fit_.folder)
    if checkpoint is None:
        model, _ = _trained(context, fit_.train, fit_.mask, fit_.folder)
        now, then = points(context, _figures(context, model, context.inputs.selection)), points(context, fit_.dev)
        if abs(now - then) > _SAME_POINTS:
            raise StoreError(f"{fit_.folder}: trained again it scores {now:.3f} on dev, not {then:.3f}: start in another folder")
        checkpoint = _save(context, model, fit_.folder)
        shutil.rmtree(fit_.folder / "state", ignore_errors=True)
    return _loaded(context, checkpoint)


def _checkpoint(context: RunContext, folder: Path) -> Path | None:
    """Folder of a fine-tuning's weights: its own, or the saved model's if its weights are the same; None if they were dropped."""
    if (folder / MODEL).is_dir():
        return folder / MODEL
    wanted, saved = model_files(folder), context.saved
    if saved is None or not wanted or not all((saved / name).is_file() for name in wanted):
        return None
    return saved if all(sha256_of(saved / name) == sha for name, sha in wanted.items()) else None


def _save(context: RunContext, model: PreTrainedModel, folder: Path) -> Path:
    save_pruned(model, folder / MODEL, tokenizer=context.inputs.tokenizer, overwrite=True)
    remember(folder, MODEL)
    return folder / MODEL


def _loaded(context: RunContext, checkpoint: Path) -> PreTrainedModel:
    return load_tagger(checkpoint, labels=context.inputs.labels).to(context.device)


def points(context: RunContext, figures: Mapping[str, Figures]) -> float:
    """The main figure in points (0..100), pooled over corpora."""
    return 100 * pooled(context, {name: figure.metrics[context.inputs.task.metric] for name, figure in figures.items()})


def pooled(context: RunContext, values: Mapping[str, float]) -> float:
    """The mean over languages of the means over each one's corpora."""
    by_language: dict[str, list[float]] = {}
    for name, value in values.items():
        by_language.setdefault(context.inputs.languages[name], []).append(value)
    return float(np.mean([np.mean(own) for own in by_language.values()]))


def main_metric(context: RunContext, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The main figure as a fraction, from counts summed over sentences, `[..., k]` → `[...]`."""
    return metric_from_counts(context.inputs.task, counts)


def _figures(context: RunContext, model: PreTrainedModel, datasets: Mapping[str, Labelled]) -> dict[str, Figures]:
    found: dict[str, Evaluation] = evaluate(
        model,
        datasets,
        context.inputs.task,
        context.inputs.labels,
        device=context.device,
        precision=context.precision,
        progress=context.progress,
    )
    return {name: Figures(dict(item.metrics), item.counts, item.n_words) for name, item in found.items()}


def forget_checkpoints(context: RunContext, needed: Collection[Path]) -> None:
    """Remove the weights of every fine-tuning whose folder is not needed; figures, counts and scores stay."""
    for checkpoint in context.store.folder.glob(f"*/{MODEL}"):
        if checkpoint.parent not in needed:
            shutil.rmtree(checkpoint, ignore_errors=True)
