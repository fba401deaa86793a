"""`mini` fine-tuned on UD English-EWT, one model per seed, and dev sentences drawn by seed; shared by the ranking benchmarks.

Models are kept in `runs/benchmarks/` (or in POLYHEAD_BENCHMARKS): stopped trainings continue, finished ones are loaded. A file
beside them identifies the models and sentences of the first cells measured there; others are refused.
"""

import hashlib
import sys
from functools import cache
from pathlib import Path

import torch
from environment import SHARED
from transformers import AutoConfig, AutoModelForTokenClassification, PreTrainedModel, PreTrainedTokenizerBase
from treebanks import LABELS, TREEBANKS, WORK

from polyhead.core.files import write_text_atomic
from polyhead.core.specs import TrainSpec
from polyhead.core.values import fingerprint
from polyhead.data.corpora import open_corpus
from polyhead.data.corpus_table import Split
from polyhead.data.sampling import sample
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.encoding import encode, model_limit
from polyhead.learning.inference import Labelled
from polyhead.learning.training import fit
from polyhead.models.loading import load_tagger, load_tokenizer
from polyhead.models.saving import save_pruned

MINI = SHARED / "models" / "mini"
SEEDS = (42, 43, 44)
SENTENCES = 512


def fine_tuned(seed: int, *, pretrained: bool = True) -> PreTrainedModel:
    """The tagger of that seed under protocol `sound` (surface words); its twin starts from random weights."""
    folder = WORK / f"{'mini' if pretrained else 'twin'}-en_ewt-{seed}"
    if not (folder / "model").is_dir():
        train = open_corpus(TREEBANKS["en"], "train", root=SHARED / "data")
        model = load_tagger(str(MINI), labels=LABELS, seed=seed) if pretrained else _random(seed)
        encoded = encode(train.sentences, tokenizer(), LABELS, model_limit=model_limit(model.config))
        fit(model, encoded, TrainSpec(seed=seed), device="auto", resume_file=folder / "training.partial")
        save_pruned(model, folder / "model", tokenizer=tokenizer())
    weights = (folder / "model" / "model.safetensors").read_bytes()
    _same_as_before(folder.name, hashlib.sha256(weights).hexdigest())
    return load_tagger(str(folder / "model"), labels=LABELS).eval()


def _same_as_before(name: str, identity: str) -> None:
    """Exit if the folder's cells were measured on another model or text of that name."""
    path = _identity(name)
    if not path.is_file():
        write_text_atomic(path, identity + "\n")
    elif identity_of(name) != identity:
        sys.exit(f"{WORK}: its cells were measured on another {name}; delete them, or name another folder by POLYHEAD_BENCHMARKS")


def identity_of(name: str) -> str:
    """Identity of what the folder's cells were measured on: sha256 of weights, or a fingerprint of sentences."""
    return _identity(name).read_text(encoding="ascii").strip()


def _identity(name: str) -> Path:
    return WORK / "identity" / f"{name}.txt"


def _random(seed: int) -> PreTrainedModel:
    names = dict(enumerate(LABELS.names))  # so that a loaded classifier is recognised as the saved one
    config = AutoConfig.from_pretrained(MINI, id2label=names, label2id={name: i for i, name in names.items()})
    torch.manual_seed(seed)
    return AutoModelForTokenClassification.from_config(config)


@cache
def tokenizer() -> PreTrainedTokenizerBase:
    """The tokenizer of `mini`."""
    return load_tokenizer(str(MINI))


@cache
def sentences(language: str, *, split: Split = "dev", n: int | None = SENTENCES, seed: int = 42) -> Labelled:
    """`n` sentences of a treebank drawn by seed, encoded, with their labels."""
    data = open_corpus(TREEBANKS[language], split, root=SHARED / "data")
    if n is not None:
        data = sample(data, n, seed=seed)
    words = [[sentence.source, sentence.words, sentence.labels] for sentence in data.sentences]
    _same_as_before(f"{language}-{split}-{n}-{seed}", fingerprint(words))
    limit = model_limit(AutoConfig.from_pretrained(MINI))
    encoded = encode(data.sentences, tokenizer(), LABELS, model_limit=limit, unknown="ignore")
    return Labelled(encoded, [sentence.labels for sentence in data.sentences])


def batches(language: str, *, split: Split = "dev") -> list[Batch]:
    """The same sentences as scoring batches."""
    return scoring_batches(sentences(language, split=split).encoded)
