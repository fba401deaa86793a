"""What a tagger fills in where a caller leaves it out: labels, how it trains, and what its scores were computed from."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from transformers import PreTrainedModel

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadScores
from polyhead.core.specs import TrainSpec
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import Task
from polyhead.learning.text_encoder import Text, scored_sets
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.loading import check_classifier
from polyhead.models.model_heads import full_mask
from polyhead.models.model_neurons import full_neurons
from polyhead.models.trained_plans import TrainedPlans


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
