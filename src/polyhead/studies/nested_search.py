"""The nested search: one fine-tuning under nested masks is scored at every k and pruned to the one chosen."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json, write_json_atomic
from polyhead.core.heads import HeadMask
from polyhead.core.values import fingerprint
from polyhead.learning.inference import Labelled
from polyhead.learning.masked_evaluation import masked_counts
from polyhead.learning.metrics import metric_from_counts
from polyhead.selection.trials import nested_grid
from polyhead.studies.context import RunContext
from polyhead.studies.evaluations import Figures, pooled
from polyhead.studies.finetunes import FineTuned, fine_tuned, load_fine_tuned
from polyhead.studies.kept import remember
from polyhead.studies.stages import version

# Sentences of each dev set that the masks are scored on.
SENTENCES: Final = 500

# Points by which the pruned model may differ from its masked self: rounding in bf16 changes a word in a thousand at most.
_SAME_POINTS: Final = 0.1


def nested_scores(context: RunContext, nested: FineTuned, masks: Sequence[HeadMask]) -> dict[int, float]:
    """Dev score in points of a nested fine-tuning at each k of `nested_grid`, without training; kept on disk.

    Reads at most 500 sentences of each selection set, drawn by the run's sample seed; layers that neighbouring masks share run
    once.
    """
    grid, inputs = nested_grid(len(masks) - 1), context.inputs
    what = [version("screening"), SENTENCES, context.settings.sample_seed, *(masks[k].keep for k in grid)]
    path = nested.folder / f"nested-{fingerprint(what)}.json"
    if not path.is_file():
        counts = masked_counts(
            load_fine_tuned(context, nested),
            {name: data.part(_drawn(context, data)) for name, data in inputs.selection.items()},
            inputs.task,
            inputs.encoder.labels,
            [masks[k] for k in grid],
            precision=context.precision,
            progress=context.progress,
        )
        sums = [{name: own.sum(axis=0) for name, own in by_name.items()} for by_name in counts]
        write_json_atomic(path, {"schema": 1, "dev": [_points(context, own) for own in sums]})
        remember(nested.folder, path.name)
    return dict(zip(grid, read_json(path)["dev"], strict=True))


def pruned_from(context: RunContext, nested: FineTuned, mask: HeadMask, masked_score: float) -> FineTuned:
    """The nested fine-tuning pruned to `mask`, without training, and scored once more.

    Raises:
        StoreError: Pruned, it scores differently from its masked self on the same sentences.
    """
    pruned = fine_tuned(context, nested.train, mask, nested=nested.nested)
    data = context.inputs.selection
    score = _points(context, {name: _sum(own, _drawn(context, data[name])) for name, own in pruned.dev.items()})
    if abs(score - masked_score) > _SAME_POINTS:
        raise StoreError(
            f"{pruned.folder}: pruned, the model scores {score:.2f} on dev, but {masked_score:.2f} with the same heads masked; "
            "please report this, with the model's name"
        )
    return pruned


def _drawn(context: RunContext, data: Labelled) -> list[int]:
    """The sentences that masks are scored on, in file order."""
    drawn = np.random.default_rng(context.settings.sample_seed).permutation(data.encoded.n_sentences)[:SENTENCES]
    return sorted(drawn.tolist())


def _sum(figures: Figures, sentences: Sequence[int]) -> np.ndarray:
    total: np.ndarray = figures.counts[sentences].sum(axis=0)
    return total


def _points(context: RunContext, sums: Mapping[str, np.ndarray]) -> float:
    return 100 * pooled(context, {name: float(metric_from_counts(context.inputs.task, own)) for name, own in sums.items()})
