"""Initialisation of the encoder: translations close to each other, and some heads that attend to one position.

From random weights, a small masked language model first learns to guess by frequency and bag of words, and stays on that plateau
for long without using attention. The width is therefore divided: the last dimensions, as many as a head has, hold sinusoidal
positions, the others hold words. A positional head rotates the positions of queries by its offset.
"""

import math

import numpy as np
import torch
from numpy.typing import NDArray
from pretraining.examples import FIRST_POSITION
from pretraining.settings import ModelSpec
from pretraining.subwords import BEGIN, END, PAD, SPECIALS, Corpus
from scipy.sparse import csr_matrix
from torch import Tensor
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

OFFSETS = (-1, 1, -2, 2, 0)
_SIZE = 0.1  # standard deviation of embeddings; the layer norm after them rescales it
_SHARPNESS = 4.0  # margin of the attended position's score over its neighbours
_LONGEST_WAVE = 64.0
_SPARE, _ROUNDS = 16, 6  # of the subspace iteration; more than enough for an initialisation


def new_encoder(spec: ModelSpec, corpus: Corpus, *, dropout: float, seed: int, vocabulary: int) -> XLMRobertaForMaskedLM:
    """An untrained encoder, initialised as the settings say."""
    torch.manual_seed(seed)
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=spec.hidden,
        num_hidden_layers=spec.layers,
        num_attention_heads=spec.heads,
        intermediate_size=spec.inner,
        max_position_embeddings=spec.positions + FIRST_POSITION,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        bos_token_id=BEGIN,
        pad_token_id=PAD,
        eos_token_id=END,
        tie_word_embeddings=True,
    )
    model = XLMRobertaForMaskedLM(config)
    n_places = spec.hidden // spec.heads if spec.positional_heads else 0
    embeddings = model.roberta.embeddings
    with torch.no_grad():
        if spec.svd:
            words = torch.from_numpy(from_translations(corpus, vocabulary, spec.hidden - n_places)).float()
            embeddings.word_embeddings.weight[:, : words.shape[1]] = words
        if spec.positional_heads:
            embeddings.word_embeddings.weight[:, -n_places:] = 0
            embeddings.token_type_embeddings.weight.zero_()
            embeddings.position_embeddings.weight.zero_()
            embeddings.position_embeddings.weight[:, -n_places:] = _SIZE * waves(config.max_position_embeddings, n_places)
            for layer, n_heads in zip(model.roberta.encoder.layer, spec.positional_heads, strict=False):
                for head in range(n_heads):
                    look(layer.attention.self, head, OFFSETS[head])
        embeddings.word_embeddings.weight[PAD] = 0
    return model


def from_translations(corpus: Corpus, vocabulary: int, width: int) -> NDArray[np.float64]:
    """Word vectors `[vocabulary, width]` in which subwords of the same groups of translations are close to each other.

    The leading left singular vectors of the subword × group matrix of log counts, with rows scaled by the subword's rarity;
    entries have standard deviation `_SIZE`. Subwords that do not occur stay small and random.
    """
    rng = np.random.default_rng(0)
    group = np.repeat(corpus.group_of_line, np.diff(corpus.starts))
    counts = csr_matrix((np.ones(len(corpus.subwords)), (corpus.subwords, group)), shape=(vocabulary, len(corpus.groups) - 1))
    counts.sum_duplicates()
    counts.data = np.log1p(counts.data)
    rarity = np.log(counts.shape[1] / np.maximum(np.diff(counts.indptr), 1))
    weighted = counts.multiply(rarity[:, None]).tocsr()
    rank = min(width, min(weighted.shape) - 1)
    left, sizes = _leading(weighted, rank)
    vectors = left * np.sqrt(sizes)
    found = rng.normal(scale=_SIZE, size=(vocabulary, width))
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    there = (norms[:, 0] > 1e-9) & (np.arange(vocabulary) >= len(SPECIALS))
    found[there, :rank] = vectors[there] / norms[there] * (_SIZE * math.sqrt(width))
    found[there, rank:] = 0
    return found


def _leading(matrix: csr_matrix, rank: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Left singular vectors `[rows, rank]` and singular values, largest first (randomized subspace iteration, Halko et al. 2011).

    The restarts of scipy's `svds` cannot be seeded, so a stopped training would continue from other embeddings.
    """
    start = np.random.default_rng(1).normal(size=(matrix.shape[1], min(rank + _SPARE, *matrix.shape)))
    space = np.linalg.qr(matrix @ start)[0]
    for _ in range(_ROUNDS):
        space = np.linalg.qr(matrix @ np.linalg.qr(matrix.T @ space)[0])[0]
    left, sizes, _ = np.linalg.svd((matrix.T @ space).T, full_matrices=False)
    return (space @ left)[:, :rank], sizes[:rank]


def waves(n: int, width: int) -> Tensor:
    """Sinusoidal positions `[n, width]`: cosines, then sines, with wavelengths from 2.5 positions to `_LONGEST_WAVE`."""
    angles = torch.arange(n, dtype=torch.float64)[:, None] * _frequencies(width)
    return torch.cat([angles.cos(), angles.sin()], dim=1).float()


def _frequencies(width: int) -> Tensor:
    lengths = torch.from_numpy(np.geomspace(2.5, _LONGEST_WAVE, width // 2))
    return 2 * math.pi / lengths


def look(attention: torch.nn.Module, head: int, offset: int) -> None:
    """Initialise a head so that a query at position i scores the key at i + offset highest, by `_SHARPNESS` over the next best.

    Queries and keys read only the position dimensions, where waves have an amplitude of about 1 after the layer norm. Values and
    output are unchanged.
    """
    n_places: int = attention.attention_head_size  # type: ignore[assignment]
    half = n_places // 2
    frequencies = _frequencies(n_places)
    turn = torch.zeros(n_places, n_places, dtype=torch.float64)
    cos, sin = (torch.diag(wave(frequencies * offset)) for wave in (torch.cos, torch.sin))
    turn[:half, :half], turn[:half, half:], turn[half:, :half], turn[half:, half:] = cos, -sin, sin, cos
    # cos(f (i + offset - j)) summed over waves: margin of the best over one position off
    gap = float((1 - frequencies.cos()).sum())
    strength = math.sqrt(_SHARPNESS * math.sqrt(n_places) / gap)
    rows = slice(head * n_places, (head + 1) * n_places)
    for name, block in (("query", turn), ("key", torch.eye(n_places, dtype=torch.float64))):
        linear = getattr(attention, name)
        linear.weight[rows] = 0
        linear.bias[rows] = 0
        linear.weight[rows, -n_places:] = (strength * block).to(linear.weight.dtype)
