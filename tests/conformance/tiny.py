"""Tiny random models of every family in the table, built from configs: nothing is downloaded."""

from contextlib import suppress
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoModelForTokenClassification,
    PreTrainedModel,
)

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadMask
from polyhead.models.architectures import ARCHITECTURES
from polyhead.models.model_heads import attention_sites
from polyhead.models.pruning import check_groups


def _class_of(name: str) -> type[PreTrainedModel]:
    """The token classifier of a family."""
    found: type[PreTrainedModel] = MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING[CONFIG_MAPPING[name.partition("+")[0]]]
    return found


VOCABULARY = 60
PAD = 1
N_LABELS = 5
HEAD_DIM = 4

SPECIAL = {f"{name}_token_id": PAD for name in ("bos", "eos", "cls", "sep", "mask")}
DISENTANGLED = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
XLM = {"bos_token_id": 0, "init_std": 0.2, "embed_init_std": 0.2}
TABLE = {"d_kv": HEAD_DIM, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 16}
# what a family needs beside the common sizes; a name may be that of a family with `+` and what is different about it
EXTRA: dict[str, dict[str, Any]] = {
    "electra": {"embedding_size": 12},
    "camembert": {"type_vocab_size": 1},
    "roberta": {"type_vocab_size": 1},
    "xlm-roberta": {"type_vocab_size": 1},
    "xlm-roberta-xl": {"type_vocab_size": 1},
    "rembert": {"input_embedding_size": 12, **SPECIAL},
    "albert": {"embedding_size": 12, "num_hidden_groups": 3},
    "albert+shared": {"embedding_size": 12, "num_hidden_groups": 3, "num_hidden_layers": 6},
    "deberta": DISENTANGLED,
    "deberta-v2": {**DISENTANGLED, "position_buckets": 4, "norm_rel_ebd": "layer_norm"},
    "deberta-v2+v3": {**DISENTANGLED, "share_att_key": True, "position_buckets": 4, "norm_rel_ebd": "layer_norm"},
    "deberta-v2+conv": {**DISENTANGLED, "share_att_key": True, "conv_kernel_size": 3, "conv_act": "gelu"},
    "modernbert": {**SPECIAL, "local_attention": 8, "attention_bias": True},
    "modernbert+released": {**SPECIAL, "local_attention": 8},
    "eurobert": {**SPECIAL, "num_key_value_heads": 2},
    "eurobert+one-key": {**SPECIAL, "num_key_value_heads": 1},
    "eurobert+own-keys": {**SPECIAL, "num_key_value_heads": 4},
    "t5": {**TABLE, "feed_forward_proj": "gelu"},  # finite differences need something smooth
    "mt5": {**TABLE, "feed_forward_proj": "gated-gelu"},
    "umt5": {**TABLE, "feed_forward_proj": "gated-gelu"},
    "xlm": XLM,
    "flaubert": XLM,
}
# those that this release of Transformers has, and for each the kernels that its attention has
FAMILIES = tuple(name for name in dict.fromkeys((*ARCHITECTURES, *EXTRA)) if name.partition("+")[0] in CONFIG_MAPPING)
KERNELS = {name: ("sdpa", "eager") if _class_of(name)._supports_sdpa else ("eager",) for name in FAMILIES}


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
    family, width = model_type.partition("+")[0], heads * HEAD_DIM
    sizes: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        ARCHITECTURES[family].feed_forward or "_": 2 * width,
        "max_position_embeddings": 40,
        "pad_token_id": PAD,
        "num_labels": n_labels,
        "initializer_range": 0.2,
    }
    config = AutoConfig.for_model(family, **{**sizes, **EXTRA.get(model_type, {})})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        chosen = kernel if kernel in KERNELS[model_type] else "eager"
        model = AutoModelForTokenClassification.from_config(config, attn_implementation=chosen, dtype=dtype)
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                torch.nn.init.normal_(parameter, std=0.1)
            elif parameter.ndim == 2 and "initializer_range" not in config.to_dict():
                torch.nn.init.normal_(parameter, std=0.2)
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


def masks_of(model: PreTrainedModel) -> dict[str, HeadMask]:
    """The masks to which the model can be pruned: where heads share keys, those that leave equal numbers."""
    found = {}
    for name, mask in MASKS.items():
        with suppress(SettingError):
            check_groups(attention_sites(model), mask)
            found[name] = mask
    return found


# every shape of a mask that a cut can have, on 3 layers x 4 heads
MASKS: dict[str, HeadMask] = {
    "nothing": HeadMask.full(3, 4),
    "one-head": HeadMask([[1, 1, 1, 1], [1, 0, 1, 1], [1, 1, 1, 1]]),
    "uneven": HeadMask([[0, 1, 1, 0], [1, 1, 1, 1], [1, 0, 0, 0]]),
    "zero-head-layer": HeadMask([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 1]]),
    "everything": HeadMask([[0] * 4] * 3),
}
