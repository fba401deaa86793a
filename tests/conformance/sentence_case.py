"""Tiny random sentence classifiers of every family, and encoded texts and pairs of texts for them."""

from typing import Any

import numpy as np
import torch
from conformance.tiny import EXTRA, HEAD_DIM, PAD, VOCABULARY
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from polyhead.learning.encoded import Encoded, EncodingCounts, Window
from polyhead.models.architectures import ARCHITECTURES

LABELS = ("entailment", "neutral", "contradiction")
LENGTHS = (5, 9, 4, 8, 7)


def tiny_classifier(family: str, *, dtype: torch.dtype = torch.float32, seed: int = 0, heads: int = 4) -> PreTrainedModel:
    """A random sentence classifier of three layers in eval mode; the global RNG is left alone."""
    width = heads * HEAD_DIM
    sizes: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": width,
        "num_hidden_layers": 3,
        "num_attention_heads": heads,
        ARCHITECTURES[family].feed_forward: 2 * width,
        "max_position_embeddings": 40,
        "pad_token_id": PAD,
        "id2label": dict(enumerate(LABELS)),
        "label2id": {label: i for i, label in enumerate(LABELS)},
        "initializer_range": 0.3,
    }
    config = AutoConfig.for_model(family, **sizes, **EXTRA.get(family, {}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForSequenceClassification.from_config(config, dtype=dtype)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def tiny_sentences(*, token_types: bool, seed: int = 0) -> Encoded:
    """Five examples, the first a text, the others pairs; the last has no label."""
    random = np.random.default_rng(seed)
    zero = np.zeros(1, np.int32)
    windows = []
    for sentence, length in enumerate(LENGTHS):
        ids = random.integers(PAD + 1, VOCABULARY, size=length, dtype=np.int32)
        label = np.array([-100 if sentence == len(LENGTHS) - 1 else sentence % 3], np.int32)
        between = (2, 3) if sentence else (length - 1, length - 1)
        second = 3 if sentence and token_types else 0
        windows.append(Window(sentence, ids, zero, zero, label, between=between, second=second))
    return Encoded(tuple(windows), (1,) * len(windows), EncodingCounts(), PAD)
