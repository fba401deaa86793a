"""What a tagger fills in where a caller leaves it out: labels, masks, how it trains, and what its scores were computed from."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.core.specs import TrainSpec
from polyhead.data.labels import LabelSet
from polyhead.data.sentences import Dataset, Sentence
from polyhead.data.tasks import Task
from polyhead.learning.encoded import Encoded
from polyhead.learning.inference import Labelled
from polyhead.learning.nested import NestedMasks
from polyhead.learning.text_encoder import Text, TextEncoder, as_sentence, scored_sets
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.loading import check_classifier
from polyhead.models.model_heads import full_mask, head_mask
from polyhead.models.model_neurons import full_neurons
from polyhead.models.named_masks import head_masks, with_all_heads
from polyhead.models.trained_plans import TrainedPlans
from polyhead.selection.ranking import masks_of_lowest

logger = logging.getLogger(__name__)
OneText = Sentence | Sequence[str]


def labels_of(name: str, task: Task, labels: LabelSet | None, *, seed: int | None, revision: str | None) -> LabelSet | None:
    """The labels of the classifier: those given, with a seed for a new one the task's; None for the stored ones.

    Raises:
        CheckpointError: There is no seed, and no classifier that fits the task and the labels.
        SettingError: The classifier is new, and neither the caller nor the task has labels.
    """
    if seed is None or task.kind == "masked":
        check_classifier(name, task, labels=labels, revision=revision)
        return labels
    if labels is None and not task.labels:
        raise SettingError(f"task {task.name}: its labels come from the training data; give labels=, from label_set")
    return labels or LabelSet(task.labels)


def own_plans(choice: EncodingChoice | None, model: PreTrainedModel, name: str) -> TrainedPlans | None:
    """The plans that the model was trained under; None without any.

    Raises:
        CheckpointError: They are of a model of another shape.
    """
    if choice is None or choice.plans is None:
        return None
    choice.plans.check((*full_mask(model).shape, full_neurons(model).n_neurons), where=f"{name}/{choice.FILE}")
    return choice.plans


def nested_masks(model: PreTrainedModel, nested: HeadScores | TrainedPlans | None, max_pruned: int) -> NestedMasks | None:
    """What sentences are read under in training: masks of the lowest heads by scores, or plans; None for the whole model.

    Raises:
        SettingError: The scores do not fit the model, or it has fewer heads than `max_pruned`.
    """
    if isinstance(nested, HeadScores):
        return NestedMasks(masks_of_lowest(nested, range(max_pruned + 1), present=head_mask(model)))
    return None if nested is None else NestedMasks(nested.plans)


def own_spec(spec: TrainSpec | None, own: dict[str, Any]) -> TrainSpec:
    """How to train, with the tagger's `own` settings (anchor, max_length, precision) in place of those that are not given.

    Raises:
        SettingError: Another value is asked for than the tagger's own.
    """
    if not isinstance(spec, TrainSpec | None):
        raise SettingError(f"spec: expected TrainSpec(...), such as TrainSpec(epochs=3), not a {type(spec).__name__}")
    spec, unset = spec or TrainSpec(), TrainSpec()
    for setting, value in own.items():
        asked = getattr(spec, setting)
        if asked not in (value, getattr(unset, setting)):
            raise SettingError(f"spec: {setting} is {asked!r}, the tagger reads with {value!r}; load it with {asked!r}")
    return replace(spec, **own)


def with_facts(scores: HeadScores, data: Text | Sequence[Text], *, model: str, **settings: Any) -> HeadScores:
    """The scores with what they were computed from."""
    read = scored_sets(data)
    return replace(
        scores,
        languages=tuple(dict.fromkeys(part.language for part in read)),
        model=model,
        data_hash="+".join(part.sha256 for part in read if part.sha256),
        settings=dict(scores.settings, **settings),
    )


def mask_of_each(
    model: PreTrainedModel, data: Mapping[str, Dataset | Labelled], given: str | Mapping[str, str | None] | None
) -> Mapping[str, str | None] | None:
    """The mask that each data set is read under: the given one, else that of its language; logs which have none.

    Raises:
        SettingError: One name is given for several data sets.
    """
    if isinstance(given, str):
        raise SettingError(f"mask_names is {given!r}; expected a mask for each data set, by its name")
    if not (masks := head_masks(model)):
        return given
    chosen, without = dict(given or {}), []
    for name, own in data.items():
        language = own.language if isinstance(own, Dataset) else None
        if name not in chosen and language in masks:
            chosen[name] = language
        elif name not in chosen:
            without.append(language or name or "encoded data, whose language is not known")
    if without:
        logger.warning("%s; give mask_names", with_all_heads(masks, without))
    return chosen


def warn_of_all_heads(model: PreTrainedModel, argument: str) -> None:
    """Log that text is read with all heads, and which argument names a mask, if the model has masks."""
    if masks := head_masks(model):
        logger.warning("%s; give %s", with_all_heads(masks), argument)


def encoded_texts(reader: TextEncoder, sentences: Text | Sequence[OneText], *, whole: bool) -> Encoded:
    """Texts to label as the model reads them: a data set, or plain lists of words; if `whole`, texts or pairs of texts.

    Raises:
        SettingError: One is something else.
    """
    if isinstance(sentences, Text):
        return reader.together(sentences, unknown="ignore")
    given = [as_sentence(own, number, whole=whole) for number, own in enumerate(sentences, start=1)]
    return reader.encode(given, unknown="ignore")
