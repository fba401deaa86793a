"""A tiny encoder and tiny treebanks on disk, from which the whole main job runs in seconds."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForMaskedLM

from polyhead.studies.settings import RunSettings, run_settings

LEXICON = {
    "en": {
        "DET": ("the", "a"),
        "NOUN": ("dog", "cat", "house"),
        "VERB": ("runs", "sleeps"),
        "ADJ": ("big", "old"),
        "PUNCT": (".",),
    },
    "de": {"DET": ("der", "ein"), "NOUN": ("Hund", "Haus"), "VERB": ("geht", "ruht"), "ADJ": ("alte", "dicke"), "PUNCT": (".",)},
}
PATTERNS = (("DET", "NOUN", "VERB", "PUNCT"), ("DET", "ADJ", "NOUN", "VERB", "PUNCT"), ("NOUN", "VERB", "PUNCT"))
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")


def write_treebank(path: Path, language: str, *, n: int, seed: int) -> Path:
    """A CoNLL-U file of `n` sentences drawn from the lexicon."""
    rng = np.random.default_rng(seed)
    lines = []
    for _ in range(n):
        tags = PATTERNS[rng.integers(len(PATTERNS))]
        for place, tag in enumerate(tags, start=1):
            words = LEXICON[language][tag]
            lines.append("\t".join([str(place), words[rng.integers(len(words))], "_", tag, *["_"] * 6]))
        lines.append("")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def save_encoder(folder: Path, *, layers: int = 2, heads: int = 4) -> Path:
    """A random XLM-R encoder with a word-level tokenizer over the lexicon."""
    words = sorted({word for tags in LEXICON.values() for group in tags.values() for word in group})
    vocabulary = {name: i for i, name in enumerate((*SPECIALS, *words))}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    names = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>"}
    PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", unk_token="<unk>", model_max_length=64, **names
    ).save_pretrained(folder)
    config = XLMRobertaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=32,
        max_position_embeddings=70,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        XLMRobertaForMaskedLM(config).save_pretrained(folder)
    return folder


def tiny_data(folder: Path) -> Path:
    """An encoder and train, dev and test of two languages."""
    save_encoder(folder / "encoder")
    for split, n in (("train", 64), ("dev", 30), ("test", 30)):
        for language in ("en", "de"):
            write_treebank(folder / f"{language}-{split}.conllu", language, n=n, seed=len(split))
    return folder


def settings(folder: Path, **changes: Any) -> RunSettings:
    """A run over that data, English to both; `changes` are arguments of `run_settings`."""
    train = {"epochs": 2, "learning_rate": 1e-2, "precision": "fp32", **changes.pop("train", {})}
    return run_settings(
        model=folder / "encoder",
        task="pos",
        sources=changes.pop("sources", [f"en={folder}/en-train.conllu:{folder}/en-dev.conllu:{folder}/en-test.conllu"]),
        targets=changes.pop("targets", [f"en={folder}/en-test.conllu", f"de={folder}/de-test.conllu"]),
        search={"max_pruned": 5, **changes.pop("search", {})},
        train=train,
        **changes,
    )


def study_text(folder: Path, *, seeds: Sequence[int] = (1,), controls: Sequence[str] = (), **search: Any) -> str:
    """A study file over that data, English to German, with a sweep over k = 0..3; `search` are values of its search."""
    files = ":".join(f"{folder}/en-{split}.conllu" for split in ("train", "dev", "test"))
    values = {
        "": {
            "name": "tiny",
            "tasks": ["pos"],
            "models": [f"{folder}/encoder"],
            "sources": [f"en={files}"],
            "targets": [f"de={folder}/de-test.conllu"],
            "seeds": list(seeds),
            "controls": list(controls),
        },
        "[search]": {"how": "sweep", "max_pruned": 3, **search},
        "[train]": {"epochs": 2, "learning_rate": 1e-2, "precision": "fp32"},
    }
    tables = ([head, *(f"{name} = {json.dumps(value)}" for name, value in table.items())] for head, table in values.items())
    return "\n".join(line for table in tables for line in table if line) + "\n"
