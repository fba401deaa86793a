"""What trimming a vocabulary is worth: rows, megabytes, and words that are segmented otherwise, by language.

    python benchmarks/vocabulary.py      # minutes on one core; writes results/vocabulary.json

Multilingual E5 small (see `e5.py`: Unigram, XLM-R's 250,002 subwords) and mBERT's tokenizer (WordPiece, 119,547) are trimmed to
groups of languages by the training text of UD treebanks, and judged on their test splits. German has HDT's training text and
GSD's test; Chinese the dev split of GSD, because its training file is in traditional characters and its test in simplified. No
model runs, so sizes are those of the weights in float32; mBERT's are those of its published shape (178 million weights).
"""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from e5 import encoder
from e5 import tokenizer as e5_tokenizer
from environment import SHARED, environment, rounded, write
from safetensors import safe_open
from torch import device
from transformers import BertConfig, BertModel, BertTokenizer, PreTrainedTokenizerBase
from treebanks import TREEBANKS

from polyhead.compression.embedding_rows import config_ids
from polyhead.compression.segmentation import Segmentation
from polyhead.compression.subword_choice import Limits
from polyhead.compression.vocabulary import TrimmedTokenizer, trim_tokenizer
from polyhead.data.corpora import open_corpus
from polyhead.data.sentences import Dataset

SEEN = {**TREEBANKS, "de": "ud/de_hdt"}
GROUPS = (("de",), ("en", "de"), ("en", "de", "zh", "ar"), ("en", "de", "zh", "ar", "ja"))
LIMITS = {
    "all seen": Limits(),
    "coverage 0.99": Limits(coverage=0.99),
    "at most 20,000": Limits(max_size=20_000),
    "characters seen": Limits(characters="seen"),
}
WITH_LIMITS = ("en", "de", "zh", "ar")
FLOAT = 4
"""Bytes of a weight."""


def text(language: str) -> Dataset:
    """The text that a vocabulary is chosen by."""
    return open_corpus(SEEN[language], "dev" if language == "zh" else "train", root=SHARED / "data")


def held_out(language: str) -> Dataset:
    return open_corpus(TREEBANKS[language], "test", root=SHARED / "data")


def shares(own: Segmentation) -> dict[str, Any]:
    """Words and the shares of them that changed or became unknown, and subwords per word."""
    return {
        "words": own.words,
        "changed": own.changed_share,
        "unknown": own.unknown_share,
        "subwords_per_word": [own.subwords_before / own.words, own.subwords_after / own.words],
    }


def row(found: TrimmedTokenizer, *, rows: int, width: int, weights: int) -> dict[str, Any]:
    """Sizes before and after, and what changed on held-out text."""
    after = weights - (rows - len(found.rows)) * width
    return {
        "subwords": [rows, len(found.rows)],
        "megabytes": [FLOAT * weights / 1e6, FLOAT * after / 1e6],
        "tokenizer_megabytes": len(found.tokenizer.backend_tokenizer.to_str().encode()) / 1e6,
        "seen_changed": {name: own.changed_share for name, own in found.seen.items()},
        "held_out": {name: shares(own) for name, own in found.held_out.items() if own is not None},
    }


def measured(tokenizer: PreTrainedTokenizerBase, needed: set[int], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Every group of languages with everything seen, and one group with each limit."""
    found: dict[str, Any] = {}
    for languages, name in [*((group, "all seen") for group in GROUPS), *((WITH_LIMITS, name) for name in list(LIMITS)[1:])]:
        texts, others = ({language: of(language) for language in languages} for of in (text, held_out))
        made = trim_tokenizer(tokenizer, texts, LIMITS[name], needed=needed, held_out=others)
        found[f"{' '.join(languages)}, {name}"] = row(made, **sizes)
        print(" ".join(languages), name, len(made.rows), flush=True)
    return found


def e5() -> dict[str, Any]:
    """The real encoder."""
    folder = Path(encoder())
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 (not a mapping)
    rows, width = next(shape for name, shape in shapes.items() if name.endswith("word_embeddings.weight"))
    config = BertConfig.from_pretrained(folder)
    return measured(
        e5_tokenizer(), config_ids(config), {"rows": rows, "width": width, "weights": sum(map(prod, shapes.values()))}
    )


def mbert() -> dict[str, Any]:
    """mBERT's tokenizer and shape."""
    names = (SHARED / "data" / "tokenizers" / "mbert" / "vocab.txt").read_text(encoding="utf-8").splitlines()
    tokenizer = BertTokenizer(vocab={name: i for i, name in enumerate(names)}, do_lower_case=False)
    config = BertConfig(vocab_size=len(names))
    weights = _n_weights(config)
    return measured(tokenizer, config_ids(config), {"rows": len(names), "width": config.hidden_size, "weights": weights})


def _n_weights(config: BertConfig) -> int:
    with device("meta"):
        return sum(parameter.numel() for parameter in BertModel(config).parameters())


if __name__ == "__main__":
    path = write("vocabulary", rounded({"environment": environment(), "e5": e5(), "mbert": mbert()}))
    print(path)
