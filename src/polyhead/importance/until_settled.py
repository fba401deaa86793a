"""Scores from as many sentences as it takes to know the lowest heads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import floor
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from transformers import PreTrainedModel

from polyhead.core.arguments import require
from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask, HeadScores
from polyhead.core.progress import Progress
from polyhead.importance.method import Method
from polyhead.importance.methods import METHODS, method, score_heads
from polyhead.importance.settling import ReadingPlan, most_that_differ, reading_plan, stratified_mean
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.encoded import IGNORED_LABEL, Encoded
from polyhead.learning.resumable import kept_at, saving
from polyhead.models.devices import PrecisionChoice, placement
from polyhead.models.model_heads import head_mask


@dataclass(frozen=True, eq=False)
class _Read:
    """What was read so far; replaced as a whole, so that an interrupt never leaves half a part."""

    values: NDArray[np.float64]  # [sentences, layers, heads], 0 where not read
    signed: NDArray[np.float64] | None = None
    parts: int = 0
    seconds: float = 0.0
    forward: float = 0.0
    backward: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)


def score_until_settled(
    name: str,
    model: PreTrainedModel,
    encoded: Encoded,
    *,
    n_lowest: int,
    may_differ: float = 0.05,
    near_tie: float = 0.02,
    seed: int = 42,
    precision: PrecisionChoice = "auto",
    progress: Progress | None = None,
    resume_file: Path | None = None,
    options: object = None,
) -> HeadScores:
    """Scores as from `score_heads`, from a random part of the sentences that settles the lowest K heads, or from all of them.

    Reading stops at the first of up to six looks, at 9 to 71 % of the tokens, where at most a share `may_differ` of the lowest K
    would differ after a full pass, near ties aside: with 95 % confidence at all looks together (`most_that_differ` says what the
    bound rests on). The share is rounded down: with K < 20 and 5 %, none may differ. If no look settles them, everything is
    read and the scores are those of the full pass, up to rounding.

    Sentences are drawn at random within groups of similar length, short ones first, and batched by length within each part.
    Scores after an early stop are weighted means that estimate the full pass without bias. The same seed reads the same text.

    `settings` holds `until_settled` (K), `may_differ`, `near_tie`, `differ_at_most` (the bound reached, in heads; 0 when all is
    read), `sentences`, `sentences_read` and `looks`. `n` is the number of sentences read; `forward_passes` and `backward_passes`
    count the padded positions read as a share of a full pass. Holds 8 bytes per sentence and head, 16 with `signed`.

    Args:
        name: A method whose score is a mean over sentences: `METHODS[name].sentence_mean`.
        model: A token classifier, pruned or not.
        encoded: Labelled sentences; never those of a test split.
        n_lowest: K, the number of heads that you plan to prune.
        may_differ: Share of the K that may differ, 0 to below 1.
        near_tie: Scores that differ by less than this share of the score at the border do not count.
        seed: Random seed of the order of reading.
        precision: As in `score_heads`.
        progress: Updated as work is done, anew for every part.
        resume_file: What was read, saved between parts; a second call continues from there. The caller removes it.
        options: The method's own, as in `score_heads`.

    Raises:
        UnknownNameError: No method has this name.
        SettingError: The method's score is not a mean over sentences, K is not below the number of heads, a bad share, or any
            reason of `score_heads`.
        StoreError: `resume_file` holds other work, or cannot be written.

    >>> import polyhead as ph
    >>> tagger = ph.Tagger.load("polyhead/tiny", task="pos", seed=42)
    >>> encoded = tagger.encode(ph.open_corpus("phrases/en", "dev"))
    >>> scores = score_until_settled("gradient", tagger.model, encoded, n_lowest=16, may_differ=0.25)
    >>> scores.n < 400, scores.settings["differ_at_most"] <= 4
    (True, True)
    """
    require(name=(name, str), model=(model, nn.Module), encoded=(encoded, Encoded), n_lowest=(n_lowest, Integral))
    require(seed=(seed, Integral), may_differ=(may_differ, Real), near_tie=(near_tie, Real))
    row, present = method(name), head_mask(model)
    check_settling(row, n_lowest=n_lowest, may_differ=may_differ, near_tie=near_tie, n_heads=present.n_kept)
    if seed < 0:
        raise SettingError(f"seed {seed}: expected a whole number from 0")
    whole = scoring_batches(encoded)
    sentences, tokens = _lengths(whole, labelled=row.needs_labels)
    plan = reading_plan(tokens, seed=seed)
    facts = {"method": name, "seed": seed, "precision": placement(model, precision=precision)[1], **vars(row.chosen(options))}
    partial = kept_at(resume_file, model, whole, {**facts, "reading": "until settled"})
    read = _Read(**known) if (known := partial.load()) else _Read(np.zeros((len(sentences), *present.shape)))
    positions = sum(batch.n_positions for batch in whole)
    with saving(partial, lambda: {key: value for key, value in vars(read).items() if value is not None}) as step:
        while (differ := _bound(read, plan, present, n_lowest, near_tie, seed)) > floor(n_lowest * may_differ + 1e-9):
            batches = scoring_batches(encoded, sentences=sentences[plan.parts[read.parts]].tolist())
            found = _Table(sentences, np.zeros_like(read.values))
            scores = score_heads(
                name, model, batches, seed=seed, precision=precision, progress=progress, options=options, receive=found.receive
            )
            read = _after(read, scores, found, share=sum(batch.n_positions for batch in batches) / positions)
            step()
    n = sum(len(part) for part in plan.parts[: read.parts])
    values, signed = (None if own is None else _means(own, read, plan) for own in (read.values, read.signed))
    assert values is not None
    values = np.where(present.keep, values, np.nan)
    return HeadScores(
        values=values,
        method=name,
        signed=signed if signed is None else np.where(present.keep, signed, np.nan),
        total=values * n,
        n=n,
        seconds=read.seconds,
        forward_passes=read.forward,
        backward_passes=read.backward,
        settings={
            **read.settings,
            "until_settled": n_lowest,
            "may_differ": float(may_differ),
            "near_tie": float(near_tie),
            "differ_at_most": differ,
            "sentences": len(sentences),
            "sentences_read": n,
            "looks": read.parts,
        },
    )


def check_settling(row: Method, *, n_lowest: int, n_heads: int, may_differ: float = 0.05, near_tie: float = 0.02) -> None:
    """Refuse what cannot be settled, before anything is read.

    Args:
        row: The method.
        n_lowest: K.
        n_heads: Heads that the model has.
        may_differ: Share of the K that may differ.
        near_tie: Share of the score at the border.

    Raises:
        SettingError: The method's score is not a mean over sentences, or a number is not allowed.
    """
    if not row.sentence_mean:
        able = ", ".join(other.name for other in METHODS.values() if other.sentence_mean)
        raise SettingError(
            f"method {row.name}: its score is not a mean over sentences, so it cannot stop early; methods that can: {able}"
        )
    if not 1 <= n_lowest < n_heads:
        raise SettingError(f"until settled {n_lowest}: expected 1 to {n_heads - 1} lowest heads of the model's {n_heads}")
    if not 0 <= may_differ < 1:
        raise SettingError(f"may_differ = {may_differ:g}: expected a share from 0 to below 1, such as 0.05")
    if not 0 <= near_tie < 1:
        raise SettingError(f"near_tie = {near_tie:g}: expected a share from 0 to below 1, such as 0.02")


@dataclass(frozen=True, eq=False)
class _Table:
    """Scores of single sentences as a method reports them, at the sentence's place among those to read."""

    sentences: NDArray[np.int64]  # ascending
    values: NDArray[np.float64]
    signed: list[NDArray[np.float64]] = field(default_factory=list)

    def receive(self, batch: Batch, values: NDArray[np.float64], signed: NDArray[np.float64] | None) -> None:
        places = np.searchsorted(self.sentences, batch.sentences)
        self.values[places] += values
        if signed is not None:
            if not self.signed:
                self.signed.append(np.zeros_like(self.values))
            self.signed[0][places] += signed


def _after(read: _Read, scores: HeadScores, found: _Table, *, share: float) -> _Read:
    """What was read, with one more part, which is `share` of a pass over all sentences."""
    signed = found.signed[0] if found.signed else None
    return _Read(
        values=read.values + found.values,
        signed=signed if read.signed is None or signed is None else read.signed + signed,
        parts=read.parts + 1,
        seconds=read.seconds + scores.seconds,
        forward=read.forward + share * scores.forward_passes,
        backward=read.backward + share * scores.backward_passes,
        settings=dict(scores.settings),
    )


def _lengths(batches: Sequence[Batch], *, labelled: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sentences that have a score, ascending, and their lengths in tokens over all windows.

    Raises:
        SettingError: There is none.
    """
    lengths: dict[int, int] = {}
    for batch in batches:
        own = batch.attention_mask.new_zeros(len(batch.sentences)).index_add(0, batch.rows, batch.attention_mask.sum(dim=1))
        counted = batch.anchor_labels != IGNORED_LABEL
        kept = batch.rows[batch.anchor_rows[counted]].unique().tolist() if labelled else range(len(batch.sentences))
        lengths.update((batch.sentences[row], int(own[row])) for row in kept)
    if not lengths:
        raise SettingError("no sentence has a labelled word, so no head can be scored: check the label column of the data")
    sentences = sorted(lengths)
    return np.array(sentences), np.array([lengths[sentence] for sentence in sentences])


def _sample(own: NDArray[np.float64], read: _Read, plan: ReadingPlan) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Values of the sentences read, in the order of the text, and their strata."""
    places = np.sort(np.concatenate(plan.parts[: read.parts]))
    return own[places], plan.strata[places]


def _means(own: NDArray[np.float64], read: _Read, plan: ReadingPlan) -> NDArray[np.float64]:
    values, strata = _sample(own, read, plan)
    flat = stratified_mean(values.reshape(len(values), -1), strata, np.bincount(plan.strata))
    return flat.reshape(own.shape[1:])


def _bound(read: _Read, plan: ReadingPlan, present: HeadMask, n_lowest: int, near_tie: float, seed: int) -> int:
    """Heads that may differ after the parts read."""
    if read.parts == 0:
        return n_lowest
    if read.parts == len(plan.parts):
        return 0
    values, strata = _sample(read.values, read, plan)
    return most_that_differ(
        values[:, present.keep],
        strata,
        np.bincount(plan.strata),
        n_lowest=n_lowest,
        near_tie=near_tie,
        looks=plan.n_looks,
        seed=(seed, read.parts),
    )
