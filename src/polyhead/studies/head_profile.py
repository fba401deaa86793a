"""What each head does in each language of a run, by the unpruned fine-tuned model: the file `heads.json` beside the result."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from polyhead.core.errors import DataFormatError, PolyheadError, SettingError, StoreError
from polyhead.core.heads import HeadId
from polyhead.core.specs import TrainSpec
from polyhead.core.values import fingerprint
from polyhead.data.references import DataReference
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset
from polyhead.importance.gate_pass import sentence_gradients
from polyhead.importance.methods import METHODS
from polyhead.learning.batching import scoring_batches
from polyhead.learning.encoded import join
from polyhead.report.document import read_document, write_document
from polyhead.report.finished_run import HEADS
from polyhead.report.heads_form import HeadsRecord, LeftOut
from polyhead.selection.head_effects import HeadEffects, head_effects
from polyhead.studies.context import RunContext
from polyhead.studies.finetunes import fine_tuned, load_fine_tuned
from polyhead.studies.language_profile import Sample, encoded_sample, language_profile, loss_change
from polyhead.studies.stages import version

logger = logging.getLogger(__name__)

# Heads that are ablated one by one: those with the largest estimated effect in any language.
MEASURED: Final = 12
_MOST_PASSES: Final = 64.0
_STAGES: Final = ("reading", "training", "evaluation", "scoring", "screening", "head analysis")


def profile_heads(context: RunContext, train: TrainSpec, folder: Path, *, n_sentences: int, text: bool = True) -> Path:
    """The path of `heads.json` in `folder`: scores, effects, attention and examples of every head in every language of the run.

    Reads a seeded sample, at most `n_sentences`, of the dev split of every source and target, never a test split; a language that
    has no dev split, or whose sample cannot be used, is named in the file under `left_out` with the reason. One forward and one
    backward pass over all languages together give every head's `gradient` score and, to first order, how much the loss would
    rise without it. The twelve heads for which that is largest in any language are then ablated one by one, all languages
    together: 1 + 12 passes at most, half of that on average. Beside these, a forward pass for attention and what the other
    methods cost. Reads only the dev splits if the file exists, complete, and of the same run and dev data.

    Raises:
        StoreError: The folder cannot be written to, or the fine-tuned model cannot be reproduced.
    """
    path = folder / HEADS
    methods, (samples, left_out) = profiled_methods(context), _samples(context, n_sentences)
    what = fingerprint(
        {
            "stages": {name: version(name) for name in _STAGES},
            "settings": context.settings.facts,
            "model_hash": context.model_hash,
            "data": [context.inputs.train_hash, context.inputs.dev_keys, context.inputs.test_keys],
            "dev": {name: own.data.sha256 for name, own in samples.items()},
            "left_out": {own.name: own.why for own in left_out},
            "seed": train.seed,
            "precision": context.precision,
            "methods": methods,
            "n_sentences": n_sentences,
            "text": text,
        }
    )
    if path.is_file() and _made_of(path) == what:
        return path
    model = load_fine_tuned(context, fine_tuned(context, train, context.present))
    gradients: dict[str, NDArray[np.float64]] = {}
    effects: dict[str, HeadEffects] = {}
    measured: tuple[HeadId, ...] = ()
    if samples:
        batches = scoring_batches(join([own.encoded for own in samples.values()]))
        every = sentence_gradients(model, batches, precision=context.precision, progress=context.progress)
        ends = np.cumsum([own.n_labelled for own in samples.values()])[:-1]
        gradients = dict(zip(samples, np.split(every, ends), strict=True))
        measured = largest({name: loss_change(own) for name, own in gradients.items()}, MEASURED)
        effects = head_effects(
            model,
            {name: own.labelled for name, own in samples.items()},
            context.inputs.task,
            context.inputs.encoder.labels,
            measured,
            precision=context.precision,
            progress=context.progress,
        )
    languages = [
        language_profile(
            context,
            model,
            own,
            methods,
            gradients=gradients[name],
            effects=effects[name],
            seed=train.seed,
            text=text,
        )
        for name, own in samples.items()
    ]
    record = HeadsRecord(
        made_of=what,
        model_hash=context.model_hash,
        seed=train.seed,
        method=methods[0],
        shape=context.shape,
        n_sentences=n_sentences,
        measured=[str(head) for head in measured],
        languages=languages,
        left_out=left_out,
    )
    write_document(path, record)
    return path


def largest(estimates: Mapping[str, NDArray[np.float64]], n: int) -> tuple[HeadId, ...]:
    """The n heads whose estimated effect, as a share of a language's largest one, is largest in any language; fewer if there are.

    >>> largest({"de": np.array([[0.1, -4.0]]), "fi": np.array([[0.3, 0.6]])}, 1)
    (HeadId(layer=0, head=1),)
    """
    shares = [np.abs(own) / max(float(np.nanmax(np.abs(own))), np.finfo(np.float64).tiny) for own in estimates.values()]
    most = np.fmax.reduce(shares)
    order = np.argsort(-most, axis=None, kind="stable")  # NaN last
    heads = [HeadId(*map(int, divmod(int(place), most.shape[1]))) for place in order]
    return tuple(head for head in heads if not np.isnan(most[head.layer, head.head]))[:n]


def profiled_methods(context: RunContext) -> tuple[str, ...]:
    """The run's own method, unless it takes too many passes a language, and those whose row says `profiles_heads`."""
    own = METHODS[context.settings.method]
    rows = [own] if own.takes_at_most(_MOST_PASSES, *context.shape) else []
    rows += [row for row in METHODS.values() if row.profiles_heads]
    return tuple(dict.fromkeys(row.name for row in rows))


def _made_of(path: Path) -> str | None:
    try:
        return read_document(path, HeadsRecord, then="written again").made_of
    except StoreError as error:
        logger.warning("%s", error)
        return None


def _samples(context: RunContext, n_sentences: int) -> tuple[dict[str, Sample], list[LeftOut]]:
    """A dev sample of each source and then of each target, by its name; and those that have none, with the kind of fault.

    The error itself, which may quote the corpus or name a folder, is only logged.
    """
    samples: dict[str, Sample] = {}
    left_out: list[LeftOut] = []
    settings, inputs = context.settings, context.inputs
    for reference in (*inputs.sources, *(target for target in inputs.targets if target.text not in settings.sources)):
        why = "its dev split cannot be read as declared"
        try:
            if reference not in inputs.sources and not reference.has("dev"):
                why = "no dev split, and test splits are not used"
                raise SettingError(f"{reference.text}: {why}; write LANGUAGE=TRAIN:DEV:TEST")
            dev = _dev(context, reference)
            if dev.sha256 in {record.sha256 for record in inputs.records if record.split == "test"}:
                why = "its dev file is a test file of this run, and test data are not used"
                raise DataFormatError(f"{reference.text}: {why}")
            why = "no word of the dev sample has a label that the model knows, or no sentence of it fits one window"
            drawn = sample(dev, n_sentences, seed=settings.sample_seed)
            samples[reference.text] = encoded_sample(inputs.encoder, drawn, words=reference.words)
        except PolyheadError as error:
            logger.warning("heads of %s are not profiled: %s", reference.text, error)
            left_out.append(LeftOut(name=reference.text, language=inputs.languages.get(reference.text, ""), why=why))
    return samples, left_out


def _dev(context: RunContext, reference: DataReference) -> Dataset:
    """The dev split; of a source without one, what was held out of its training data."""
    reader = context.inputs.reader
    if reference in context.inputs.sources:
        return reader.train_and_dev(reference, seed=context.settings.sample_seed)[1]
    return reader.open(reference, "dev", labelled=False)
