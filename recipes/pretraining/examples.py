"""Training batches: single lines and pairs of translations with masked subwords, in an order set by the seed."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from pretraining.settings import TrainingSpec
from pretraining.subwords import BEGIN, END, MASK, PAD, SPECIALS, Corpus
from torch import Tensor

_BLOCK = 4096  # examples sorted by length together
_HIDDEN, _OTHER = 0.8, 0.9  # of the subwords to predict: masked, replaced by another, unchanged
FIRST_POSITION = PAD + 1  # XLM-R counts positions from there


@dataclass(frozen=True, eq=False)
class Example:
    """One line, or two translations side by side."""

    lines: tuple[int, ...]
    length: int


@dataclass(frozen=True, eq=False)
class MaskedBatch:
    """Int64 tensors `[examples, subwords]`; `labels` is −100 where nothing is predicted."""

    input_ids: Tensor
    attention_mask: Tensor
    position_ids: Tensor
    labels: Tensor


def batches(corpus: Corpus, spec: TrainingSpec, *, positions: int, start: int = 0) -> Iterator[MaskedBatch]:
    """The batches of steps `start`, `start + 1`, … without end; a step's batch does not depend on `start`.

    Args:
        corpus: Training text.
        spec: Share of pairs, batch size, seed.
        positions: Most subwords per line of an example, including the special tokens at its ends.
        start: First step; earlier ones are skipped.
    """
    for step, chosen in enumerate(_endless(corpus, spec, positions)):
        if step >= start:
            yield _made(corpus, chosen, spec, np.random.default_rng((spec.seed, 1, step)), positions)


def _endless(corpus: Corpus, spec: TrainingSpec, positions: int) -> Iterator[list[Example]]:
    group_of, epoch = corpus.group_of_line, 0
    lengths = np.minimum(np.diff(corpus.starts), positions - 2)
    while True:
        rng = np.random.default_rng((spec.seed, 0, epoch))
        order = rng.permutation(corpus.n_lines)
        for start in range(0, len(order), _BLOCK):
            block = [_example(corpus, int(line), group_of, lengths, spec.pairs, rng) for line in order[start : start + _BLOCK]]
            yield from _of_like_length(block, spec.subwords, rng)
        epoch += 1


def _example(
    corpus: Corpus, line: int, group_of: NDArray[np.int64], lengths: NDArray[np.int64], pairs: float, rng: np.random.Generator
) -> Example:
    group = group_of[line]
    first, end = int(corpus.groups[group]), int(corpus.groups[group + 1])
    chance, place = rng.random(2)
    if end - first < 2 or chance >= pairs:
        return Example((line,), int(lengths[line]) + 2)
    others = [other for other in range(first, end) if other != line]
    other = others[int(place * len(others))]
    return Example((line, other), int(lengths[line] + lengths[other]) + 4)


def _of_like_length(block: list[Example], subwords: int, rng: np.random.Generator) -> list[list[Example]]:
    """Batches under a budget of padded subwords, in random order."""
    found: list[list[Example]] = []
    for example in sorted(block, key=lambda example: example.length):
        if found and example.length * (len(found[-1]) + 1) <= subwords:
            found[-1].append(example)
        else:
            found.append([example])
    return [found[place] for place in rng.permutation(len(found))]


def _made(corpus: Corpus, chosen: list[Example], spec: TrainingSpec, rng: np.random.Generator, positions: int) -> MaskedBatch:
    width = max(example.length for example in chosen)
    ids = np.full((len(chosen), width), PAD, dtype=np.int64)
    places = np.full((len(chosen), width), PAD, dtype=np.int64)
    for row, example in enumerate(chosen):
        at = 0
        for line in example.lines:
            own = np.concatenate([[BEGIN if at == 0 else END], corpus.line(line)[: positions - 2], [END]])
            ids[row, at : at + len(own)] = own
            # positions restart at the second line, so that translations are aligned
            places[row, at : at + len(own)] = FIRST_POSITION + np.arange(len(own))
            at += len(own)
    predicted = (ids >= len(SPECIALS)) & (rng.random(ids.shape) < spec.masked)
    fate = rng.random(ids.shape)
    shown = np.where(predicted & (fate < _HIDDEN), MASK, ids)
    others = rng.integers(len(SPECIALS), int(corpus.subwords.max()) + 1, size=ids.shape)
    shown = np.where(predicted & (fate >= _HIDDEN) & (fate < _OTHER), others, shown)
    return MaskedBatch(
        torch.from_numpy(shown),
        torch.from_numpy((ids != PAD).astype(np.int64)),
        torch.from_numpy(places),
        torch.from_numpy(np.where(predicted, ids, -100)),
    )
