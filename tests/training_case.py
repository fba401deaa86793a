"""A tiny token classifier and encoded sentences to train it on."""

import numpy as np
import torch
from transformers import BertConfig, BertForTokenClassification

from polyhead.learning.encoded import Encoded, EncodingCounts, Window

VOCABULARY, N_LABELS, PAD = 60, 5, 0


def tiny_model(*, dropout: float = 0.1, seed: int = 0) -> BertForTokenClassification:
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        num_labels=N_LABELS,
        pad_token_id=PAD,
    )
    return BertForTokenClassification(config)


def tiny_encoded(n: int = 22, *, seed: int = 0, pieces: int = 30) -> Encoded:
    """Sentences of 2..9 words, one piece each, ids 3..`pieces`; the label is the id modulo `N_LABELS`; one in ten has none."""
    generator = np.random.default_rng(seed)
    windows = []
    for index in range(n):
        length = int(generator.integers(2, 10))
        ids = generator.integers(3, pieces, size=length).astype(np.int32)
        labels = np.where(generator.random(length) < 0.1, -100, ids % N_LABELS).astype(np.int32)
        positions = np.arange(1, length + 1, dtype=np.int32)
        windows.append(Window(index, np.concatenate(([1], ids, [2])).astype(np.int32), positions, positions - 1, labels))
    words = tuple(len(window.anchor_words) for window in windows)
    return Encoded(windows=tuple(windows), words_per_sentence=words, counts=EncodingCounts(), pad_id=PAD)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
