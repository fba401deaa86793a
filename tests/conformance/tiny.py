"""Tiny random models of every family in the table, built from configs: nothing is downloaded."""

from typing import Any, Literal

import torch
from torch import Tensor
from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedModel

from polyhead.core.heads import HeadMask
from polyhead.models.architectures import ARCHITECTURES

VOCABULARY = 60
PAD = 1
N_LABELS = 5
HEAD_DIM = 4

# what a family needs beside the common sizes
EXTRA: dict[str, dict[str, Any]] = {
    "electra": {"embedding_size": 12},
    "camembert": {"type_vocab_size": 1},
    "roberta": {"type_vocab_size": 1},
    "xlm-roberta": {"type_vocab_size": 1},
}


def tiny_model(
    model_type: str,
    *,
    kernel: Literal["sdpa", "eager"] = "sdpa",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    layers: int = 3,
    heads: int = 4,
    n_labels: int = N_LABELS,
) -> PreTrainedModel:
    """A random token classifier in eval mode, its weights large enough that every head matters; the global RNG is left alone."""
    width = heads * HEAD_DIM
    sizes: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        ARCHITECTURES[model_type].feed_forward: 2 * width,
        "max_position_embeddings": 40,
        "pad_token_id": PAD,
        "num_labels": n_labels,
        "initializer_range": 0.2,
    }
    config = AutoConfig.for_model(model_type, **sizes, **EXTRA.get(model_type, {}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForTokenClassification.from_config(config, attn_implementation=kernel, dtype=dtype)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


def tiny_inputs(
    padding: Literal["none", "right", "left"] = "right", *, seed: int = 1, rows: int = 3, length: int = 9
) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask` `[rows, length]`; each row but the first is shorter, padded on the side asked for."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(PAD + 1, VOCABULARY, (rows, length), generator=generator)
    mask = torch.ones_like(ids)
    for row in range(1, rows):
        short = 2 * row
        where = {"none": slice(0, 0), "right": slice(length - short, length), "left": slice(0, short)}[padding]
        ids[row, where] = PAD
        mask[row, where] = 0
    return {"input_ids": ids, "attention_mask": mask}


def logits(model: PreTrainedModel, inputs: dict[str, Tensor]) -> Tensor:
    """Logits `[words, labels]` of the real positions only, without a graph."""
    with torch.no_grad():
        return model(**inputs).logits[inputs["attention_mask"].bool()]


# every shape of a mask that a cut can have, on 3 layers x 4 heads
MASKS: dict[str, HeadMask] = {
    "nothing": HeadMask.full(3, 4),
    "one-head": HeadMask([[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1]]),
    "uneven": HeadMask([[0, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]),
    "zero-head-layer": HeadMask([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 1]]),
    "everything": HeadMask([[0] * 4] * 3),
}
