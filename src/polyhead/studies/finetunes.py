"""Fine-tunings done once: named by what decides their weights, kept with their figures, found again by whoever needs them."""

import logging
import shutil
import time
from collections.abc import Mapping, Sequence
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
from polyhead.studies.prune_after import cut_after, repair_facts
from polyhead.studies.settings import RunSettings

logger = logging.getLogger(__name__)

# Points that a score may move when equal work is done again: one changed word in ten thousand.
_SAME_POINTS = 0.01


@dataclass(frozen=True)
class Bench:
    """What the cells of a run work with.

    Attributes:
        settings: Of the run.
        inputs: Its data, encoded.
        store: Where finished fine-tunings lie.
        model_hash: Of the pre-trained encoder's files.
        present: Heads that the pre-trained encoder has.
        device: Where everything runs.
        precision: Of training, scoring and evaluation alike.
        progress: Told of every step.
    """

    settings: RunSettings
    inputs: Inputs
    store: RunStore
    model_hash: str
    present: HeadMask
    device: torch.device
    precision: Precision
    progress: Progress


@dataclass(frozen=True)
class Fitted:
    """A finished fine-tuning.

    Attributes:
        folder: Its own; the checkpoint is in `model/` until the run is done.
        train: How it was trained.
        mask: Heads it has.
        dev: Figures on the selection data by corpus name.
        seconds: What it took, over all stops.
    """

    folder: Path
    train: TrainSpec
    mask: HeadMask
    dev: Mapping[str, Figures]
    seconds: float


def fitted(bench: Bench, train: TrainSpec, mask: HeadMask) -> Fitted:
    """The encoder fine-tuned with the heads of `mask`, now or in an earlier run; costs nothing if it is already there.

    Heads are cut before training, or after it from the full fine-tuned model where the search says so (then nothing is
    trained, and the search may ask for a repair), or masked while training alone (protocol `paper-released`).
    """
    settings = bench.settings
    what = {
        "model": settings.model,
        "revision": settings.revision,
        "model_hash": bench.model_hash,
        "task": bench.inputs.task.name,
        "labels": bench.inputs.labels.names,
        "data": bench.inputs.data_hash,
        "train": asdict(train),
        "precision": bench.precision,
        "pruned": [str(head) for head in mask.pruned],
        "when": _when(bench, mask),
        "select_on": sorted(bench.inputs.selection),
        **(repair_facts(settings) if _when(bench, mask) == "after" else {}),
    }
    folder = bench.store.folder_of(fingerprint(what))
    record = bench.store.get(folder.name)
    if record is None:
        started = time.perf_counter()
        remove_leftovers(folder / "model")
        model, facts = _trained(bench, train, mask, folder)
        keep_figures(folder / "dev", _figures(bench, model, bench.inputs.selection))
        save_pruned(model, folder / "model", tokenizer=bench.inputs.tokenizer, overwrite=True)
        machine = {**versions(), "threads": str(torch.get_num_threads()), "device": str(bench.device)}
        seconds = time.perf_counter() - started + float(facts.get("seconds_before", 0.0))
        record = Record(what, {"seconds": seconds, "fit": facts, "machine": machine})
        bench.store.put(record)
        shutil.rmtree(folder / "state", ignore_errors=True)
    _warn_of_changes(bench, record)
    return Fitted(folder, train, mask, kept_figures(folder / "dev"), float(record.result["seconds"]))


def _warn_of_changes(bench: Bench, record: Record) -> None:
    now = {**versions(), "threads": str(torch.get_num_threads()), "device": str(bench.device)}
    for name, value in record.result["machine"].items():
        if now.get(name) != value:
            logger.warning(
                "a fine-tuning of this run was done with %s %s, now it is %s: the last digits of its result may differ",
                name,
                value,
                now.get(name),
            )


def _when(bench: Bench, mask: HeadMask) -> str:
    if bench.settings.rules.mask_in_training_only:
        return "masked"
    return "after" if bench.settings.search.prune == "after" and mask.n_pruned > bench.present.n_pruned else "before"


def _trained(bench: Bench, train: TrainSpec, mask: HeadMask, folder: Path) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The fine-tuned model and the record of its training, which is empty where none was needed."""
    settings, when = bench.settings, _when(bench, mask)
    if when == "after":
        full = load_fitted(bench, fitted(bench, train, bench.present))
        return cut_after(full, mask, settings, bench.inputs, precision=bench.precision, progress=bench.progress), {}
    model = load_tagger(settings.model, labels=bench.inputs.labels, seed=train.seed, revision=settings.revision)
    if when == "before":
        prune(model, mask)
    record = fit(
        model,
        bench.inputs.train,
        train,
        pad_id=bench.inputs.pad_id,
        mask=mask if when == "masked" else None,
        device=bench.device,
        state_folder=folder / "state",
        progress=bench.progress,
    )
    return model, asdict(record)


def tested(bench: Bench, fit_: Fitted) -> dict[str, Figures]:
    """Test figures of a finished fine-tuning by target name; all targets go through the model in one pass, once."""
    kept = fit_.folder / f"test-{bench.inputs.test_hash}"
    if not kept.with_suffix(".json").is_file():
        keep_figures(kept, _figures(bench, load_fitted(bench, fit_), bench.inputs.tests))
    return kept_figures(kept)


def load_fitted(bench: Bench, fit_: Fitted) -> PreTrainedModel:
    """The fine-tuned model itself, from its checkpoint; trained once more if that was dropped.

    Raises:
        StoreError: Trained once more it does not score as it did (another processor or thread count, say).
    """
    folder = fit_.folder / "model"
    if not folder.is_dir():
        model, _ = _trained(bench, fit_.train, fit_.mask, fit_.folder)
        now, then = points(bench, _figures(bench, model, bench.inputs.selection)), points(bench, fit_.dev)
        if abs(now - then) > _SAME_POINTS:
            raise StoreError(f"{fit_.folder}: trained again it scores {now:.3f} on dev, not {then:.3f}: start in another folder")
        save_pruned(model, folder, tokenizer=bench.inputs.tokenizer, overwrite=True)
        shutil.rmtree(fit_.folder / "state", ignore_errors=True)
    return load_tagger(folder, labels=bench.inputs.labels).to(bench.device)


def points(bench: Bench, figures: Mapping[str, Figures]) -> float:
    """The main figure in points (0..100), pooled over corpora."""
    return 100 * pooled(bench, {name: figure.metrics[bench.inputs.task.metric] for name, figure in figures.items()})


def pooled(bench: Bench, values: Mapping[str, float]) -> float:
    """The mean over languages of the means over each one's corpora."""
    by_language: dict[str, list[float]] = {}
    for name, value in values.items():
        by_language.setdefault(bench.inputs.languages[name], []).append(value)
    return float(np.mean([np.mean(own) for own in by_language.values()]))


def main_metric(bench: Bench, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The main figure as a fraction, from counts summed over sentences, `[..., k]` → `[...]`."""
    return metric_from_counts(bench.inputs.task, counts)


def _figures(bench: Bench, model: PreTrainedModel, datasets: Mapping[str, Labelled]) -> dict[str, Figures]:
    found: dict[str, Evaluation] = evaluate(
        model,
        datasets,
        bench.inputs.task,
        bench.inputs.labels,
        pad_id=bench.inputs.pad_id,
        device=bench.device,
        precision=bench.precision,
        progress=bench.progress,
    )
    return {name: Figures(dict(item.metrics), item.counts, item.n_words) for name, item in found.items()}


def forget_checkpoints(bench: Bench, *, seeds: Sequence[int], chosen: Fitted) -> None:
    """Remove the weights of a finished run's fine-tunings but for what further controls start from; figures stay.

    Kept are the unpruned models of these seeds, and the chosen one.
    """
    unpruned = [str(head) for head in bench.present.pruned]
    for record in bench.store.records():
        folder, what = bench.store.folder_of(record.fingerprint), record.settings
        start = what["pruned"] == unpruned and what["train"]["seed"] in seeds
        if not start and folder != chosen.folder:
            shutil.rmtree(folder / "model", ignore_errors=True)
