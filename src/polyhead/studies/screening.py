"""Dev scores of one fine-tuned model under many masks, without training; kept beside the model."""

import time
from dataclasses import dataclass
from pathlib import Path

from polyhead.core.files import read_json, write_json_atomic
from polyhead.core.heads import HeadMask
from polyhead.core.values import fingerprint
from polyhead.learning.masked_evaluation import masked_counts
from polyhead.learning.metrics import metric_from_counts
from polyhead.studies.context import RunContext
from polyhead.studies.evaluations import pooled
from polyhead.studies.finetunes import FineTuned, load_fine_tuned
from polyhead.studies.kept import remember
from polyhead.studies.stages import version


@dataclass(frozen=True)
class Screen:
    """Dev scores in points by k, with masks alone, and the seconds that they took."""

    dev: list[float]
    seconds: float


def screen(context: RunContext, full: FineTuned, masks: tuple[HeadMask, ...]) -> Screen:
    """Dev score in points of the full fine-tuned model under every mask, without training; kept on disk.

    Layers that two neighbouring masks share run once.
    """
    keys = {name: context.inputs.dev_keys[name] for name in context.inputs.selection}
    path = full.folder / f"screen-{fingerprint([version('screening'), keys, *(mask.keep for mask in masks)])}.json"
    if not path.is_file():
        with context.store.working(full.folder.name):
            _screen(context, full, masks, path)
    kept = read_json(path)
    return Screen(kept["dev"], kept["seconds"])


def _screen(context: RunContext, full: FineTuned, masks: tuple[HeadMask, ...], path: Path) -> None:
    model, inputs, started = load_fine_tuned(context, full), context.inputs, time.perf_counter()
    counts = masked_counts(
        model, inputs.selection, inputs.task, inputs.encoder.labels, masks, precision=context.precision, progress=context.progress
    )
    metrics = [{name: float(metric_from_counts(inputs.task, own.sum(axis=0))) for name, own in part.items()} for part in counts]
    found = [100 * pooled(context, by_name) for by_name in metrics]
    context.store.check(full.folder.name)
    write_json_atomic(path, {"schema": 1, "dev": found, "seconds": time.perf_counter() - started})
    remember(full.folder, path.name)
