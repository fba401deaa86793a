"""How well corpora were labelled: scores in points, and figures kept on disk so that statistics need no model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from transformers import PreTrainedModel

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json, write_bytes_atomic, write_json_atomic
from polyhead.data.corpora import row_groups
from polyhead.learning.inference import Labelled, evaluate
from polyhead.learning.metrics import metric_from_counts
from polyhead.selection.resampling import redrawn
from polyhead.studies.context import RunContext
from polyhead.studies.kept import remember


@dataclass(frozen=True, eq=False)
class Figures:
    """How well one corpus was labelled: metrics as fractions, counts `[sentences, k]` to resample, words scored."""

    metrics: Mapping[str, float]
    counts: NDArray[np.int64]
    n_words: int


def figures_of(context: RunContext, model: PreTrainedModel, datasets: Mapping[str, Labelled]) -> dict[str, Figures]:
    """Figures of a model by name of the data; all data go through it in one pass."""
    inputs, where = context.inputs, context.device
    found = evaluate(
        model, datasets, inputs.task, inputs.encoder.labels, device=where, precision=context.precision, progress=context.progress
    )
    return {name: Figures(dict(item.metrics), item.counts, item.n_words) for name, item in found.items()}


def points(context: RunContext, figures: Mapping[str, Figures]) -> float:
    """The main metric in points (0..100), pooled over corpora."""
    return 100 * pooled(context, {name: own.metrics[context.inputs.task.metric] for name, own in figures.items()})


def points_by_name(context: RunContext, figures: Mapping[str, Figures]) -> dict[str, float]:
    """The main metric of each corpus in points (0..100)."""
    return {name: 100 * own.metrics[context.inputs.task.metric] for name, own in figures.items()}


def standard_error(context: RunContext, figures: Mapping[str, Figures]) -> float:
    """Standard error of `points`, by bootstrap over sentences: translations by row together, other corpora independently."""
    groups = row_groups({name: len(own.counts) for name, own in figures.items()})
    parts: dict[str, NDArray[np.float64]] = {}  # equal numbers of sentences and one seed: the same rows are drawn in each
    for name, own in figures.items():
        weight = pooled(context, {other: float(other == name) for other in figures})
        scores = redrawn(own.counts, lambda counts: metric_from_counts(context.inputs.task, counts), seed=0)
        parts[groups[name]] = parts.get(groups[name], 0.0) + weight * scores
    return float(100 * np.sqrt(sum(np.var(part, ddof=1) for part in parts.values())))


def pooled(context: RunContext, values: Mapping[str, float]) -> float:
    """The mean over languages of the means over each one's corpora."""
    by_language: dict[str, list[float]] = {}
    for name, value in values.items():
        by_language.setdefault(context.inputs.languages[name], []).append(value)
    return float(np.mean([np.mean(own) for own in by_language.values()]))


def keep_figures(path: Path, figures: Mapping[str, Figures]) -> None:
    """Write PATH.safetensors (counts) and PATH.json (the rest), by name of the data, and note their hashes."""
    counts = {str(i): figure.counts for i, figure in enumerate(figures.values())}
    write_bytes_atomic(path.with_suffix(".safetensors"), save(counts))
    facts = [{"name": name, "metrics": dict(f.metrics), "n_words": f.n_words} for name, f in figures.items()]
    write_json_atomic(path.with_suffix(".json"), {"schema": 1, "figures": facts})
    remember(path.parent, path.with_suffix(".safetensors").name, path.with_suffix(".json").name)


def kept_figures(path: Path) -> dict[str, Figures] | None:
    """What `keep_figures` wrote; None if one of the two files is missing.

    Raises:
        StoreError: One of the two files is damaged.
    """
    if not (path.with_suffix(".safetensors").is_file() and path.with_suffix(".json").is_file()):
        return None
    try:
        counts = load_file(path.with_suffix(".safetensors"))
        facts = read_json(path.with_suffix(".json"))["figures"]
        return {f["name"]: Figures(f["metrics"], counts[str(i)], f["n_words"]) for i, f in enumerate(facts)}
    except (OSError, KeyError, TypeError, SafetensorError) as error:
        raise StoreError(f"{path}: no usable figures ({error}): delete {path.parent} and run again") from None
