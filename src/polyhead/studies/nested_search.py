"""The nested search: one fine-tuning under nested masks is scored at every k and pruned to the one chosen."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save
from transformers import PreTrainedModel

from polyhead.core.errors import StoreError
from polyhead.core.files import read_json, write_bytes_atomic, write_json_atomic
from polyhead.core.heads import HeadMask
from polyhead.core.progress import tracking
from polyhead.core.specs import TrainSpec
from polyhead.core.values import fingerprint
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoded import Encoded, join
from polyhead.learning.inference import predict
from polyhead.learning.masked_evaluation import masked_counts, masked_labels
from polyhead.learning.metrics import metric_from_counts
from polyhead.learning.nested import NestedMasks
from polyhead.selection.trials import nested_grid
from polyhead.studies.context import RunContext
from polyhead.studies.evaluations import SENTENCES, drawn_part, pooled
from polyhead.studies.finetunes import FineTuned, fine_tuned, load_fine_tuned, selection_of
from polyhead.studies.kept import remember
from polyhead.studies.stages import version

# Words that the pruned model may label otherwise than its masked self: rounding in bf16 changes one in a thousand at most.
# Not points of a metric, because one word can add a span, and a set of 500 sentences may have few spans.
_ROUNDED_SHARE: Final = 0.002
_ROUNDED_WORDS: Final = 5


@dataclass(frozen=True)
class NestedFit:
    """A fine-tuning under nested masks and its scores at each k of `nested_grid`.

    Attributes:
        fit: The fine-tuning, with all heads.
        dev: Scores on the selection sets, in points.
        agreement: Percentage of the targets' words that keep the label which the same model gives with all heads; empty unless k
            is chosen by it.
        dev_by_name: Scores on each selection set, in points.
        seconds: Wall-clock time of scoring the masks.
    """

    fit: FineTuned
    dev: Mapping[int, float]
    agreement: Mapping[int, float]
    dev_by_name: Mapping[int, Mapping[str, float]]
    seconds: float

    def score_at(self, k: int) -> float:
        """The score by which k is chosen."""
        return (self.agreement or self.dev)[k]


def nested_fit(context: RunContext, train: TrainSpec, masks: Mapping[int, HeadMask]) -> NestedFit:
    """The encoder fine-tuned under nested masks and scored under those of `nested_grid`; both are kept on disk.

    The scores need no training. They rest on at most 500 sentences of each set, drawn by the run's sample seed; layers that
    neighbouring masks share run once.
    """
    fit = fine_tuned(context, train, context.present, nested=NestedMasks(tuple(masks.values())))
    grid, inputs = nested_grid(tuple(masks)), context.inputs
    texts = {name: drawn_part(context, data).encoded for name, data in inputs.unlabelled.items()}
    keys = {name: inputs.dev_keys[name] for name in (*inputs.selection, *texts)}
    what = [version("screening"), SENTENCES, context.settings.sample_seed, keys, sorted(texts), *(masks[k].keep for k in grid)]
    path = fit.folder / f"nested-{fingerprint(what)}.json"
    if not path.is_file():
        with context.store.working(fit.folder.name):
            _score_masks(context, fit, [masks[k] for k in grid], texts, path)
    kept = read_json(path)
    dev = [{name: 100 * own[i] for name, own in kept["dev"].items()} for i in range(len(grid))]
    return NestedFit(
        fit,
        {k: pooled(context, by_name) for k, by_name in zip(grid, dev, strict=True)},
        dict(zip(grid, kept["agreement"], strict=False)),
        dict(zip(grid, dev, strict=True)),
        kept["seconds"],
    )


def _score_masks(
    context: RunContext, fit: FineTuned, masks: Sequence[HeadMask], texts: Mapping[str, Encoded], path: Path
) -> None:
    """Write the metric of every selection set under every mask, and the agreement on the texts."""
    inputs, model, started = context.inputs, load_fine_tuned(context, fit), time.perf_counter()
    counts = masked_counts(
        model,
        selection_of(context, fit.nested)[0],
        inputs.task,
        inputs.encoder.labels,
        masks,
        precision=context.precision,
        progress=context.progress,
    )
    dev = {
        name: [float(metric_from_counts(inputs.task, by_name[name].sum(axis=0))) for by_name in counts]
        for name in inputs.selection
    }
    agreement = _agreement(context, model, texts, masks)
    seconds = time.perf_counter() - started
    context.store.check(fit.folder.name)
    write_json_atomic(path, {"schema": 1, "dev": dev, "agreement": agreement, "seconds": seconds})
    remember(fit.folder, path.name)


def _agreement(
    context: RunContext, model: PreTrainedModel, texts: Mapping[str, Encoded], masks: Sequence[HeadMask]
) -> list[float]:
    """By mask, the percentage of words that keep the label given under the first mask; empty without texts."""
    if not texts:
        return []
    together = join(list(texts.values()))
    batches, words = scoring_batches(together), together.words_per_sentence
    with tracking(context.progress, len(batches), "agreement") as advance:
        ids, _ = masked_labels(model, batches, masks, words, precision=context.precision, advance=lambda _: advance(1))
    ends = np.cumsum([sum(text.words_per_sentence) for text in texts.values()])[:-1]
    shares = dict(zip(texts, (own.mean(axis=1) for own in np.split(ids == ids[0], ends, axis=1)), strict=True))
    return [100 * pooled(context, {name: float(own[i]) for name, own in shares.items()}) for i in range(len(masks))]


def pruned_from(context: RunContext, nested: NestedFit, mask: HeadMask, k: int) -> FineTuned:
    """The nested fine-tuning pruned to `mask`, that of `k`, without training, and compared once with its masked self.

    Raises:
        StoreError: Pruned, it labels the sentences that masks are scored on differently; rounding is allowed for.
    """
    pruned = fine_tuned(context, nested.fit.train, mask, nested=nested.fit.nested)
    what = [version("screening"), selection_of(context, nested.fit.nested)[1]]
    path = pruned.folder / f"alike-{fingerprint(what)}.json"
    if not path.is_file():
        with context.store.working(pruned.folder.name):
            words, others = _compared(context, nested.fit, pruned)
            context.store.check(pruned.folder.name)
            write_json_atomic(path, {"schema": 1, "words": words, "others": others})
            remember(pruned.folder, path.name)
    kept = read_json(path)
    words, others = kept["words"], kept["others"]
    if others > (allowed := rounded_words(words)):
        raise StoreError(
            f"{pruned.folder}: with k = {k} heads pruned, the model labels {others} of {words} dev words otherwise than with the "
            f"same heads masked, and rounding explains {allowed} at most; please report this, with the model's name"
        )
    return pruned


def rounded_words(words: int) -> int:
    """Words, of so many, that rounding may label otherwise: 0.2 %, and five more for small data."""
    return _ROUNDED_WORDS + int(_ROUNDED_SHARE * words)


def _compared(context: RunContext, nested: FineTuned, pruned: FineTuned) -> tuple[int, int]:
    """Words that both models label, the first under the mask of the second, and those that they label differently."""
    selection, _ = selection_of(context, nested.nested)
    together = join([data.encoded for data in selection.values()])
    found = [
        predict(
            load_fine_tuned(context, fit),
            together,
            labels=context.inputs.encoder.labels,
            precision=context.precision,
            mask=mask,
            progress=context.progress,
        )
        for fit, mask in ((nested, pruned.mask), (pruned, None))
    ]
    pairs = [pair for both in zip(*found, strict=True) for pair in zip(*both, strict=True)]
    return len(pairs), sum(one != other for one, other in pairs)


def masked_tests(
    context: RunContext, nested: FineTuned, masks: Mapping[int, HeadMask]
) -> dict[int, dict[str, NDArray[np.int64]]]:
    """Test counts `[sentences, columns]` of the nested model under the masks of `nested_grid`, by k and target; kept on disk."""
    grid, inputs = nested_grid(tuple(masks)), context.inputs
    found: dict[int, dict[str, NDArray[np.int64]]] = {k: {} for k in grid}
    what = [version("screening"), *(masks[k].keep for k in grid)]
    paths = {name: nested.folder / f"tests-{fingerprint([key, *what])}.safetensors" for name, key in inputs.test_keys.items()}
    if missing := {name: inputs.tests[name] for name, path in paths.items() if not path.is_file()}:
        with context.store.working(nested.folder.name):
            model = load_fine_tuned(context, nested)
            some = [masks[k] for k in grid]
            counts = masked_counts(
                model, missing, inputs.task, inputs.encoder.labels, some, precision=context.precision, progress=context.progress
            )
            context.store.check(nested.folder.name)
            for name in missing:
                together = np.stack([by_name[name] for by_name in counts])
                write_bytes_atomic(paths[name], save({"counts": together}))
                remember(nested.folder, paths[name].name)
    for name, path in paths.items():
        for k, own in zip(grid, load_file(path)["counts"], strict=True):
            found[k][name] = own
    return found
