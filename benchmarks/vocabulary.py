"""What trimming a vocabulary is worth: rows, megabytes, and words that are segmented otherwise, by language.

    python benchmarks/vocabulary.py      # minutes on one core; writes results/vocabulary.json

The tokenizers of multilingual E5 small (see `e5.py`: Unigram, XLM-R's 250,002 subwords) and of mBERT (WordPiece, 119,547) are
trimmed to groups of languages by the training text of UD treebanks, and judged on their test splits. German has HDT's training
text and GSD's test; Chinese the dev split of GSD, because its training file is in traditional characters and its test in
simplified. No model runs, so sizes are those of the weights in float32; those of mBERT (178 million weights) and of XLM-R base
(278 million, with E5's tokenizer) are of their published shapes. Each row is made in a process of its own: processor seconds are
those of trimming and of comparing held-out text, memory is the most that the process had, models not included.
"""

import resource
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import prod
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from e5 import encoder
from e5 import tokenizer as e5_tokenizer
from environment import SHARED, environment, rounded, write
from safetensors import safe_open
from torch import device
from transformers import BertConfig, BertModel, BertTokenizer, PreTrainedTokenizerBase, XLMRobertaConfig, XLMRobertaModel
from treebanks import TREEBANKS

from polyhead.compression.embedding_rows import config_ids
from polyhead.compression.segmentation import Segmentation
from polyhead.compression.subword_choice import Limits
from polyhead.compression.vocabulary import TrimmedTokenizer, trim_tokenizer
from polyhead.data.corpora import open_corpus
from polyhead.data.sentences import Dataset

SEEN = {**TREEBANKS, "de": "ud/de_hdt"}
GROUPS: tuple[tuple[str, ...], ...] = (("de",), ("en", "de"), ("en", "de", "zh", "ar"), ("en", "de", "zh", "ar", "ja"))
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


@dataclass(frozen=True)
class Encoder:
    """What a vocabulary belongs to.

    Attributes:
        tokenizer: Opens its tokenizer.
        needed: Ids that its config names.
        rows: Subwords.
        widths: Width of an embedding and number of weights of every shape that has this vocabulary, by its name in the results.
    """

    tokenizer: Callable[[], PreTrainedTokenizerBase]
    needed: frozenset[int]
    rows: int
    widths: Mapping[str, tuple[int, int]]


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


def trimmed(own: Encoder, languages: tuple[str, ...], limits: str) -> dict[str, dict[str, Any]]:
    """The row of one trimming for every shape, with what it took; for a fresh process."""
    tokenizer, texts, others = own.tokenizer(), *({language: of(language) for language in languages} for of in (text, held_out))
    started = time.process_time()
    made = trim_tokenizer(tokenizer, texts, LIMITS[limits], needed=own.needed, held_out=others)
    took = {
        "cpu_seconds": time.process_time() - started,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    return {name: row(made, rows=own.rows, width=width, weights=weights) | took for name, (width, weights) in own.widths.items()}


def measured(own: Encoder) -> dict[str, Any]:
    """Every group of languages with everything seen, and one group with each limit."""
    found: dict[str, Any] = {name: {} for name in own.widths}
    for languages, limits in [*((group, "all seen") for group in GROUPS), *((WITH_LIMITS, name) for name in list(LIMITS)[1:])]:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            rows = pool.submit(trimmed, own, languages, limits).result()
        for name, each in rows.items():
            found[name][f"{' '.join(languages)}, {limits}"] = each
            print(name, " ".join(languages), limits, each["subwords"][1], flush=True)
    return found


def xlmr_vocabulary() -> Encoder:
    """The real encoder, and XLM-R base's shape, which has the same subwords."""
    folder = Path(encoder())
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 (not a mapping)
    rows, width = next(shape for name, shape in shapes.items() if name.endswith("word_embeddings.weight"))
    config = BertConfig.from_pretrained(folder)
    base = XLMRobertaConfig(
        vocab_size=rows, hidden_size=768, num_hidden_layers=12, max_position_embeddings=514, type_vocab_size=1
    )
    widths = {"e5": (width, sum(map(prod, shapes.values()))), "xlmr": (base.hidden_size, _n_weights(XLMRobertaModel, base))}
    return Encoder(e5_tokenizer, frozenset(config_ids(config)), rows, widths)


def mbert_vocabulary() -> Encoder:
    """mBERT's tokenizer and shape."""
    config = BertConfig(vocab_size=len(_mbert_names()))
    widths = {"mbert": (config.hidden_size, _n_weights(BertModel, config))}
    return Encoder(mbert_tokenizer, frozenset(config_ids(config)), len(_mbert_names()), widths)


def mbert_tokenizer() -> PreTrainedTokenizerBase:
    return BertTokenizer(vocab={name: i for i, name in enumerate(_mbert_names())}, do_lower_case=False)


def _mbert_names() -> list[str]:
    return (SHARED / "data" / "tokenizers" / "mbert" / "vocab.txt").read_text(encoding="utf-8").splitlines()


def _n_weights(kind: type[BertModel] | type[XLMRobertaModel], config: Any) -> int:
    with device("meta"):
        return sum(parameter.numel() for parameter in kind(config).parameters())


if __name__ == "__main__":
    path = write(
        "vocabulary", rounded({"environment": environment(), **measured(xlmr_vocabulary()), **measured(mbert_vocabulary())})
    )
    print(path)
