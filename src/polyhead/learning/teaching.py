"""Learning from the predictions of a larger model on the same sentences: of another one, or of the trained model itself."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from transformers import PreTrainedModel

from polyhead.core.settings_file import checked
from polyhead.core.specs import Share
from polyhead.learning.batching import Batch
from polyhead.learning.encoded import IGNORED_LABEL


@dataclass(frozen=True, eq=False)
class Teacher:
    """Whose predictions a training learns from, and how much.

    The loss of a taught sentence is 1 − weight times the cross-entropy of its labels and weight times the Kullback-Leibler
    divergence of the predictions from the teacher's. The teacher runs in eval mode and without gradient, in the precision of the
    training, on the taught sentences alone: of the three forward passes' worth of a step (forward and backward) it makes at most
    four where both models have the same size.

    Attributes:
        weight: Share of the divergence in the loss, 0 to 1; 0 teaches nothing, 1 reads no label of a taught sentence.
        model: The teacher, which reads the same ids and has the same labels; all sentences are taught. None for the trained model
            itself with everything kept: then the sentences are taught of which something is masked.
        subwords: Whether every subword of the text is taught, instead of the one that carries a word's label.

    Raises:
        SettingError: The weight is not between 0 and 1.

    Source: Hinton et al. 2015; Yu and Huang 2019, "Universally slimmable networks" (the model as its own teacher).

    >>> import polyhead as ph
    >>> train = ph.sample(ph.open_corpus("phrases/en", "train"), 16, seed=1)
    >>> tagger, small = (ph.Tagger.load("polyhead/tiny", task="pos", seed=42) for _ in range(2))
    >>> _ = small.prune(small.score("magnitude", train), 8)
    >>> small.fit(train, spec=ph.TrainSpec(epochs=1), teacher=Teacher(1.0, tagger.model, subwords=True)).steps
    1
    """

    weight: float = 1.0
    model: PreTrainedModel | None = None
    subwords: bool = False

    def __post_init__(self) -> None:
        checked("weight", float(self.weight), Share)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a teacher says about one batch.

    Attributes:
        weight: Share of the divergence in the loss.
        taught: bool `[rows]`, which rows are taught.
        rows: int64 `[positions]`, row of each position that is taught.
        columns: Column of each, or None where each row has one prediction.
        n: Positions of the whole batch that could be taught.
        expected: Log-probabilities of the teacher there, float32 `[positions, labels]`.
    """

    weight: float
    taught: Tensor
    rows: Tensor
    columns: Tensor | None
    n: int
    expected: Tensor


def lesson(teacher: Teacher, model: PreTrainedModel, batch: Batch, masked: Tensor | None) -> Lesson | None:
    """What the teacher says about the batch; None if no sentence is taught.

    Args:
        teacher: Who teaches.
        model: The trained model, outside of any gates.
        batch: On its device.
        masked: bool `[sentences]`, of which sentences something is masked; None for none.
    """
    everyone = teacher.model is not None
    if not teacher.weight or (not everyone and masked is None):
        return None
    taught = torch.ones_like(batch.rows, dtype=torch.bool) if everyone or masked is None else masked[batch.rows]
    if not bool(taught.any()):
        return None
    own = model if teacher.model is None else teacher.model
    was = own.training
    own.eval()
    with torch.no_grad():
        logits = own(**{name: given[taught] for name, given in batch.inputs.items()}).logits.float()
    own.train(was)
    # weights that autocast has cast without gradient must not serve the pass that needs one
    torch.clear_autocast_cache()
    rows, columns = _places(teacher, batch, logits)
    chosen = taught[rows]
    place = (taught.cumsum(0) - 1)[rows[chosen]]
    if columns is None:
        return Lesson(teacher.weight, taught, rows[chosen], None, len(rows), log_softmax(logits[place], dim=-1))
    columns, n = columns[chosen], len(rows)
    return Lesson(teacher.weight, taught, rows[chosen], columns, n, log_softmax(logits[place, columns], dim=-1))


def _places(teacher: Teacher, batch: Batch, logits: Tensor) -> tuple[Tensor, Tensor | None]:
    """Rows and columns of what can be taught."""
    if logits.dim() == 2:
        return batch.anchor_rows, None
    if teacher.subwords:
        rows, columns = batch.is_text.nonzero(as_tuple=True)
        return rows, columns
    return batch.anchor_rows, batch.anchor_columns


def taught_loss(model: PreTrainedModel, batch: Batch, shown: Lesson) -> Tensor:
    """The loss of a batch with a teacher, float32: see `Teacher`. Both parts are means over the whole batch."""
    logits = model(**batch.inputs).logits.float()
    there = logits[shown.rows] if shown.columns is None else logits[shown.rows, shown.columns]
    divergence = kl_div(log_softmax(there, dim=-1), shown.expected, log_target=True, reduction="sum") / max(shown.n, 1)
    if shown.weight == 1 and bool(shown.taught.all()):
        return divergence
    labels = batch.labels if logits.dim() == 3 else batch.anchor_labels
    each = cross_entropy(logits.flatten(0, -2), labels.flatten(), ignore_index=IGNORED_LABEL, reduction="none").view(labels.shape)
    owner = shown.taught if logits.dim() == 3 else shown.taught[batch.anchor_rows]
    share = 1 - shown.weight * owner.to(each.dtype)
    total = (each * (share[:, None] if each.dim() == 2 else share)).sum()
    return total / (labels != IGNORED_LABEL).sum().clamp(min=1) + shown.weight * divergence
