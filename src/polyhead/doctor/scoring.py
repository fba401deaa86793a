"""Checks of the importance method: what its scores may not depend on, and how sentences and words weigh in them."""

import math
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from polyhead.core.heads import HeadScores
from polyhead.core.progress import Silent
from polyhead.doctor.finding import Measured
from polyhead.doctor.state import changes, state_of
from polyhead.doctor.subject import Subject, copied, kernels, logits_apart, scores_apart, text_logits, under_kernel

# Through its module, so that what is checked is what every method gets.
from polyhead.learning import scoring_mode as scoring
from polyhead.learning.batching import Batch, collate
from polyhead.models.architectures import PROJECTIONS, attention_sites

# What the rows of METHODS do not say. These scores are no sums over sentences or batches: they rest on the whole data at once.
_NO_SUM = frozenset(("ablation-mean", "shapley", "l0"))
# These give a head's number a part: by drawing numbers head after head, or by what they take for a head.
_BY_NUMBER = frozenset(("random", "shapley", "l0", "weight-gradient-released"))
_TOO_FEW = Measured(math.nan, "it takes two sentences", excuse="not checked")


def dead_head(subject: Subject) -> Measured:
    """The score of the highest head once its output columns are zero, as a share of the largest score."""
    usual = np.abs(subject.usual.values)
    if np.isnan(usual).all():
        return Measured(math.nan, "the model has no heads left", excuse="not checked")
    layer, head = np.unravel_index(np.nanargmax(usual), usual.shape)
    model = copied(subject.model)
    site = attention_sites(model)[int(layer)]
    with torch.no_grad():
        site.output.weight[:, site.head_columns()[site.kept.index(int(head))]] = 0
    found = subject.score(model, subject.batches).values
    largest = np.nanmax(np.abs(found))
    value = abs(float(found[layer, head])) / largest if largest else 0.0
    return Measured(float(value), f"head {layer}.{head}", excuse="" if subject.row.dead_head_is_zero else "not promised")


def batch_size(subject: Subject) -> Measured:
    """Scores with every sentence a batch by itself against the usual ones."""
    return _TOO_FEW if subject.encoded.n_sentences < 2 else _against_usual(subject, subject.in_file_order(1))


def batch_order(subject: Subject) -> Measured:
    """Scores on batches of a quarter of the sentences, one after the other and the other way round."""
    if subject.encoded.n_sentences < 2:
        return _TOO_FEW
    batches = subject.in_file_order(math.ceil(subject.encoded.n_sentences / 4))
    forth, back = (subject.score(subject.model, order).values for order in (batches, batches[::-1]))
    return _invariant(subject, scores_apart(back, forth))


def padding_length(subject: Subject) -> Measured:
    """Scores on one batch that is padded further than needed against the usual ones."""
    return _against_usual(subject, subject.in_file_order(subject.encoded.n_sentences, pad_to=subject.padded_length))


def _against_usual(subject: Subject, batches: list[Batch]) -> Measured:
    return _invariant(subject, scores_apart(subject.score(subject.model, batches).values, subject.usual.values))


def _invariant(subject: Subject, value: float) -> Measured:
    return Measured(value, excuse="" if subject.row.batch_invariant else "not promised")


def sentences_weigh_equally(subject: Subject) -> Measured:
    """The usual scores against the mean of scores computed in as many calls as there are sentences, one sentence each."""
    if subject.method in _NO_SUM:
        return Measured(math.nan, "the method looks at all sentences together", excuse="not promised")
    sentences = _sentences(subject)
    if len(sentences) < 2:
        return _TOO_FEW
    alone = np.mean([subject.score(subject.model, [batch]).values for batch in sentences], axis=0)
    return _invariant(subject, scores_apart(alone, subject.usual.values))


def _sentences(subject: Subject) -> list[Batch]:
    """The sentences that count for the method, a batch each."""
    every = subject.in_file_order(1)
    return [batch for batch in every if (batch.anchor_labels != -100).any()] if subject.row.needs_labels else every


def nothing_carried_over(subject: Subject) -> Measured:
    """Scores of all batches in one call against those of two calls on half of the batches each, put together."""
    if subject.method in _NO_SUM:
        return Measured(math.nan, "the method looks at all sentences together", excuse="not promised")
    batches = _sentences(subject)
    if len(batches) < 2:
        return _TOO_FEW
    half = len(batches) // 2
    whole, *parts = (subject.score(subject.model, some) for some in (batches, batches[:half], batches[half:]))
    return Measured(scores_apart(_joined(*parts), whole.values))


def _joined(one: HeadScores, other: HeadScores) -> NDArray[np.float64]:
    """The scores of both data sets together; of a method that counts no sentences (it looks at no data) the plain mean."""
    n_one, n_other = (one.n, other.n) if one.n and other.n else (1, 1)
    return (one.values * n_one + other.values * n_other) / (n_one + n_other)


def words_weigh_equally(subject: Subject) -> Measured:
    """Sentence losses as all methods get them, in padded batches, against means over words taken window by window."""
    device = subject.model.device
    wanted = _plain_losses(subject)
    value = 0.0
    for batch in subject.in_file_order(subject.encoded.n_sentences, pad_to=subject.padded_length):
        with scoring.scoring_mode(subject.model, "fp32"), torch.no_grad():
            losses, labelled = scoring.sentence_losses(subject.model, batch.to(device), "fp32")
        for sentence, loss, counts in zip(batch.sentences, losses.tolist(), labelled.tolist(), strict=True):
            if counts != (sentence in wanted):
                return Measured(math.inf, f"sentence {sentence} of the sample counts where it should not, or the other way")
            if counts:
                value = float(np.max([value, abs(loss - wanted[sentence]) / max(wanted[sentence], 1)]))
    return Measured(value)


def _plain_losses(subject: Subject) -> dict[int, float]:
    """Mean cross-entropy over the labelled words of each sentence that has any, from one window at a time."""
    losses: dict[int, list[float]] = {}
    for window in subject.encoded.windows:
        logits = text_logits(subject.model, [collate([[window]], pad_id=subject.encoded.pad_id)]).cpu().double()
        for position, label in zip(window.anchor_positions.tolist(), window.label_ids.tolist(), strict=True):
            if label != -100:
                loss = cross_entropy(logits[position], torch.tensor(label))
                losses.setdefault(window.sentence, []).append(float(loss))
    return {sentence: float(np.mean(of_words)) for sentence, of_words in losses.items()}


def order_leaves_logits(subject: Subject) -> Measured:
    """Logits of a copy whose heads stand in another order in every layer against those of the model."""
    found = text_logits(reordered(subject.model), subject.batches)
    return Measured(logits_apart(found, text_logits(subject.model, subject.batches)))


def order_moves_scores(subject: Subject) -> Measured:
    """Scores of that copy against the usual ones, put in the same order."""
    expected = subject.usual.values.copy()
    for site in attention_sites(subject.model):
        expected[site.layer, list(site.kept)] = subject.usual.values[site.layer, _moved(site.kept)]
    found = subject.score(reordered(subject.model), subject.batches).values
    return Measured(scores_apart(found, expected), excuse="not promised" if subject.method in _BY_NUMBER else "")


def reordered(model: PreTrainedModel) -> PreTrainedModel:
    """A copy that computes the same with the heads of every layer moved on by one place, the last one to the first."""
    other = copied(model)
    for site in attention_sites(other):
        order = torch.tensor(_moved(range(len(site.kept))), dtype=torch.int64)
        for projection in PROJECTIONS:
            _reorder(getattr(site, projection), site.head_rows(projection), order, dim=0)
        _reorder(site.output, site.head_columns(), order, dim=1)
    return other


def _moved(places: Sequence[int]) -> list[int]:
    return [*places[-1:], *places[:-1]]


def _reorder(linear: nn.Linear, blocks: Tensor, order: Tensor, *, dim: int) -> None:
    """Write into each block `[heads, head_dim]` of rows or columns what stood in the one that `order` names."""
    parameters = [linear.weight] if dim or linear.bias is None else [linear.weight, linear.bias]
    to, origin = (index.flatten().to(linear.weight.device) for index in (blocks, blocks[order]))
    with torch.no_grad():
        for parameter in parameters:
            parameter.index_copy_(dim, to, parameter.index_select(dim, origin))


def kernels_agree(subject: Subject) -> Measured:
    """Scores under each of the two attention kernels against the usual ones."""
    names = kernels(subject.model)
    if len(names) == 1:
        return Measured(math.nan, f"the model has {names[0]} alone", excuse="not checked")
    values = [
        scores_apart(subject.score(under_kernel(subject.model, name), subject.batches).values, subject.usual.values)
        for name in names[1:]
    ]
    return Measured(float(np.max(values)), f"{' and '.join(names)}")


class _Stopped(KeyboardInterrupt):
    """What `_Stops` raises."""


class _Stops(Silent):
    """A `Progress` that ends the work at its first step."""

    def advance(self, n: int) -> None:
        """End the work."""
        raise _Stopped


def stopping_leaves_model(subject: Subject) -> Measured:
    """Number of ways in which the model differs after scoring that was stopped midway."""
    before = state_of(subject.model, hashed=False)
    with suppress(_Stopped):
        subject.score(subject.model, subject.batches, progress=_Stops())
    found = changes(before, state_of(subject.model, hashed=False))
    return Measured(len(found), "; ".join(found))


def no_test_split(subject: Subject) -> Measured:
    """Whether the text is of a test split, 0 or 1."""
    if subject.split is None:
        return Measured(math.nan, "a file does not say of which split it is; make sure that it is dev text", excuse="not checked")
    return Measured(float(subject.split == "test"), f"{subject.split} split")


def model_unchanged(subject: Subject) -> Measured:
    """Number of ways in which the model differs from what it was before the first check."""
    found = changes(subject.before, state_of(subject.model))
    return Measured(len(found), "; ".join(found))
