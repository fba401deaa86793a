"""Tries every token-classification type of the installed Transformers on a tiny random model: `python benchmarks/model_types.py`.

A type with a row is proven as a type without one would be. Writes `results/model_types.json`, which `method_page.py` shows.
"""

import argparse
import time
import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import torch
import transformers
from environment import RESULTS, environment
from transformers import AutoConfig, AutoModelForTokenClassification, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES

from polyhead.core.errors import PolyheadError
from polyhead.core.files import write_json_atomic
from polyhead.core.heads import HeadId, HeadMask
from polyhead.learning.batching import Batch
from polyhead.learning.shared_prefix import masked_logits
from polyhead.models.architectures import ARCHITECTURES, Architecture
from polyhead.models.finding import find_sites
from polyhead.models.gates import gated
from polyhead.models.model_heads import attention_sites, full_mask
from polyhead.models.proofs import prove, prove_loaded
from polyhead.models.pruning import fitted
from polyhead.models.small_copies import NotProven, small_copy

OUT = RESULTS / "model_types.json"
LAYERS: Final = 3
HEADS: Final = 4
_MOST_WEIGHTS = 4_000_000
# given to every config that has the name
_SIZES: Final[Mapping[str, Any]] = {
    "vocab_size": 60,
    "hidden_size": 16,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "num_labels": 5,
    **{f"{name}_token_id": 1 for name in ("pad", "bos", "eos", "cls", "sep")},
}
_IF_PRESENT: Final[Mapping[str, Any]] = {
    "num_key_value_heads": 2,
    "head_dim": 4,
    "d_kv": 4,
    "d_ff": 32,
    "embedding_size": 8,
    "input_embedding_size": 8,
    "entity_vocab_size": 10,
    "entity_emb_size": 8,
    "num_experts": 4,
    "n_routed_experts": 4,
    "num_local_experts": 4,
    "n_group": 1,
    "topk_group": 1,
    "first_k_dense_replace": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 8,
    "shared_expert_intermediate_size": 8,
    "kv_lora_rank": 4,
    "q_lora_rank": 4,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 4,
    "v_head_dim": 4,
}
# what a type needs beyond that
_EXTRA: Final[Mapping[str, Mapping[str, Any]]] = {
    "albert": {"num_hidden_groups": LAYERS},
    "big_bird": {"attention_type": "original_full"},
    "deberta": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"]},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 4},
    "modernbert": {"local_attention": 8},
    "t5": {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 16},
    "mt5": {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 16},
    "umt5": {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 16},
    "gpt_neo": {"attention_types": [[["global"], LAYERS]], "num_layers": LAYERS},
    "longformer": {"attention_window": 4},
    "funnel": {"block_sizes": [1, 1, 1], "d_model": 16, "n_head": HEADS, "d_head": 4, "d_inner": 32},
    "esmc": {"num_key_value_heads": HEADS},
    "squeezebert": {"embedding_size": 16},
    "roc_bert": {"pronunciation_vocab_size": 20, "shape_vocab_size": 20, "pronunciation_embed_dim": 4, "shape_embed_dim": 4},
    "layoutlmv3": {"coordinate_size": 3, "shape_size": 2, "visual_embed": False},
    "xmod": {"default_language": "en_XX"},
}


def main() -> None:
    """Try the types and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("types", nargs="*", help="only these; the results are printed, not written")
    given = parser.parse_args().types
    transformers.logging.set_verbosity_error()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    found = {}
    for name in given or sorted(MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES):
        started = time.perf_counter()
        found[name] = tried(name)
        print(name, *found[name].values(), f"{time.perf_counter() - started:.1f} s", flush=True)
    counts = Counter(row["verdict"] for row in found.values())
    print(dict(counts))
    if not given:
        write_json_atomic(OUT, {"environment": environment(seed=0), "counts": dict(counts), "types": found})


def tried(name: str) -> dict[str, str]:
    """The verdict on a type, with where its heads are or why it is refused."""
    try:
        model = tiny(name)
    except Exception as error:  # whatever a type's config or constructor raises
        return {"verdict": "not built", "why": _line(f"{type(error).__name__}: {error}")}
    try:
        row = ARCHITECTURES.get(model.config.model_type)
        if row is not None:
            prove(small_copy(model), row)
            prove_loaded(model, row)
        else:
            row = find_sites(model)
        check_sharing(model)
    except (NotProven, PolyheadError) as error:
        why = str(error).partition("could not be proven: ")[2].partition("; the nearest row")[0] or str(error)
        return {"verdict": "wrong" if model.config.model_type in ARCHITECTURES else "refused", "why": _line(why)}
    return {"verdict": "row" if model.config.model_type in ARCHITECTURES else "proven", "why": "", "heads": described(row, model)}


def tiny(name: str) -> PreTrainedModel:
    """A random model of a type, with a few thousand weights.

    Raises:
        ValueError: It would have more than four million.
        Exception: Whatever Transformers raises.
    """
    config = tiny_config(name)
    with torch.device("meta"):
        weights = sum(p.numel() for p in AutoModelForTokenClassification.from_config(config).parameters())
    if weights > _MOST_WEIGHTS:
        raise ValueError(f"the smallest one tried has {weights:,} weights")
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForTokenClassification.from_config(config)
    return model.eval()


def tiny_config(name: str) -> PretrainedConfig:
    """A config of a type with small sizes."""
    usual = AutoConfig.for_model(name).to_dict()
    given = {key: value for key, value in _IF_PRESENT.items() if key in usual}
    config: PretrainedConfig = AutoConfig.for_model(name, **{**_SIZES, **given, **_EXTRA.get(name, {})})
    return config


def check_sharing(model: PreTrainedModel) -> None:
    """Many masks on one pass share layers, as ranking does; the logits must be those of one gated pass each.

    Raises:
        NotProven: They are not.
    """
    ids = torch.randint(3, 60, (2, 8), generator=torch.Generator().manual_seed(2))
    none = torch.zeros(0, dtype=torch.int64)
    real, labels = torch.ones_like(ids), torch.full_like(ids, -100)
    batch = Batch(ids, real, real.bool(), labels, torch.arange(2), none, none, none, none, (0, 1), n_tokens=ids.numel())
    n_layers, n_heads = full_mask(model).shape
    heads = [HeadId(layer, head) for layer in reversed(range(n_layers)) for head in range(n_heads)]
    masks = [fitted(model, HeadMask.without(n_layers, n_heads, heads[:k])) for k in (0, 1, 2, 3, 5, 6, 9)]
    with torch.no_grad():
        for mask, shared in zip(masks, masked_logits(model, batch, masks), strict=True):
            with gated(model, mask):
                alone = model(input_ids=ids, attention_mask=batch.attention_mask).logits
            if float((shared - alone).abs().max()) > 1e-5:
                raise NotProven("logits that share lower layers differ from those of a pass of their own")


def described(row: Architecture, model: PreTrainedModel) -> str:
    """Where a model's heads are, in a few words."""
    site = attention_sites(model)[0]
    fused = len(site.inputs) == 1
    parts = [f"{row.query} (fused{', by head' * row.fused_by_head})" if fused else f"{row.query} and two more", row.output]
    if site.group > 1:
        parts.append("heads share keys")
    if row.shared_bias:
        parts.append("one position bias for all layers")
    if row.model_type == "albert":
        parts.append("layers may share weights")
    ids = torch.arange(3, 11)[None]
    with torch.no_grad():
        one, other = (model(input_ids=x).logits[0, 0] for x in (ids, torch.cat([ids[:, :-1], ids[:, :1]], dim=1)))
    if torch.equal(one, other):
        parts.append("causal: sees only what comes before")
    return "; ".join(parts)


def _line(text: str) -> str:
    return " ".join(text.split())[:200]


if __name__ == "__main__":
    main()
