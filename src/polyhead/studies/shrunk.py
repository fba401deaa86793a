"""What shrinking gives: a smaller tagger, its plan, and what it costs in every language."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from polyhead.core.neurons import Plan
from polyhead.data.tasks import Task
from polyhead.learning.inference import Evaluation
from polyhead.learning.metrics import metric_from_counts
from polyhead.selection.resampling import percentile_interval, redrawn
from polyhead.studies.distillation import Distilled
from polyhead.studies.tagger import Tagger


@dataclass(frozen=True)
class LanguageLoss:
    """What one language loses on the half of its dev text that plans are judged on, in points from 0 to 100.

    Attributes:
        language: BCP-47 code.
        data: Corpus or file.
        sentences: How many it is judged on.
        metric: Name of the metric.
        before: Score of the given model.
        after: Score of the smaller one.
        low: Lower bound of the 95 % interval of the loss, over resampled sentences.
        high: Upper bound.
    """

    language: str
    data: str
    sentences: int
    metric: str
    before: float
    after: float
    low: float
    high: float

    @property
    def lost(self) -> float:
        """Points lost; negative for a gain."""
        return self.before - self.after


Losses = tuple[LanguageLoss, ...]
"""One for each language."""


@dataclass(frozen=True)
class Change:
    """A figure of the given model and of the smaller one.

    Attributes:
        before: Of the given model.
        after: Of the smaller one; None if it was not measured.
        predicted: Of the smaller one, as its plan predicts; None without a prediction.
    """

    before: float
    after: float | None = None
    predicted: float | None = None

    @property
    def best(self) -> float:
        """What is known of the smaller model: measured if it was, else predicted."""
        found = self.predicted if self.after is None else self.after
        return self.before if found is None else found


@dataclass(frozen=True, eq=False)
class Shrunk:
    """A smaller model. The model given is not changed.

    Attributes:
        tagger: The smaller tagger; `save` writes it.
        plan: Heads and neurons that it keeps, in the numbering of the unpruned model.
        before: Those that the given model had.
        losses: By language, in the order given.
        milliseconds: Of a forward pass; None where no speed was asked for and nothing was measured.
        megabytes: Weights and tokenizer.
        subwords: Size of the vocabulary.
        met: Whether everything asked for is met.
        missed: Otherwise what gives way and by how much, in one sentence.
        trained: Whether the plan is one that the model was trained under, so that nothing was searched or repaired.
        distilled: Facts of the distillation; None without one.
    """

    tagger: Tagger
    plan: Plan
    before: Plan
    losses: Losses
    milliseconds: Change | None
    megabytes: Change
    subwords: Change
    met: bool
    missed: str
    trained: bool = False
    distilled: Distilled | None = None

    @property
    def speedup(self) -> float | None:
        """Times as fast as before, measured if it was, else predicted; None if neither."""
        return None if self.milliseconds is None else self.milliseconds.before / self.milliseconds.best

    @property
    def worst(self) -> LanguageLoss:
        """The language that loses most."""
        return max(self.losses, key=lambda own: own.lost)


def losses_of(before: Mapping[str, Evaluation], after: Mapping[str, Evaluation], names: Mapping[str, str], task: Task) -> Losses:
    """What each language loses.

    Args:
        before: Results of the given model by language.
        after: Those of the smaller one on the same sentences.
        names: Corpus or file of each.
        task: Of the metric.
    """
    found = []
    for language, own in before.items():
        pair = np.stack([own.counts, after[language].counts])
        drawn = 100 * redrawn(pair, lambda summed: metric_from_counts(task, summed), seed=0)
        interval = percentile_interval(drawn[:, 0] - drawn[:, 1])
        was, became = (100 * float(each.metrics[task.metric]) for each in (own, after[language]))
        found.append(
            LanguageLoss(language, names[language], len(own.counts), task.metric, was, became, interval.low, interval.high)
        )
    return tuple(found)
