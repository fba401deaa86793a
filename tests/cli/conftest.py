"""A tiny tagger and a tiny treebank on disk, made on the fly."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from fast_tokenizer import fast
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, XLMRobertaConfig, XLMRobertaForTokenClassification, XLMRobertaModel

from polyhead.cli.main import main
from polyhead.data.tasks import UPOS

WORDS = ("the", "a", "dog", "cat", "runs", "sleeps", "and", ".", "big", "house")
TAGS = ("DET", "DET", "NOUN", "NOUN", "VERB", "VERB", "CCONJ", "PUNCT", "ADJ", "NOUN")


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def prose(self) -> str:
        """What was printed, as if no line had been broken."""
        return " ".join(self.out.split())

    @property
    def json(self) -> dict:
        assert self.out.count("\n") == 1, "one document, one line"
        return json.loads(self.out)


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Calls the command line in this process; output is captured at the file descriptors."""

    def call(*arguments: object) -> Result:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Result(code, *capfd.readouterr())

    return call


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {name: i for i, name in enumerate(("<s>", "<pad>", "</s>", "<unk>", *WORDS))}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    return fast(inner)


def save_tagger(folder: Path, labels: tuple[str, ...]) -> Path:
    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=len(WORDS) + 4,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        max_position_embeddings=70,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
    )
    XLMRobertaForTokenClassification(config).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # labels in another order than the task's own: they are matched by name
    return save_tagger(tmp_path_factory.mktemp("pos") / "tagger", tuple(reversed(UPOS)))


@pytest.fixture(scope="session")
def ner_tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tagger(tmp_path_factory.mktemp("ner") / "tagger", ("O", "B-PER", "I-PER"))


@pytest.fixture(scope="session")
def encoder(ner_tagger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder without any classifier."""
    folder = tmp_path_factory.mktemp("encoder") / "encoder"
    XLMRobertaModel.from_pretrained(ner_tagger, add_pooling_layer=False).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def conllu(n: int) -> str:
    blocks = []
    for i in range(n):
        rows = [(j + i) % len(WORDS) for j in range(4 + i % 3)]
        lines = [f"{p}\t{WORDS[w]}\t_\t{TAGS[w]}\t_\t_\t{p - 1}\t_\t_\t_" for p, w in enumerate(rows, 1)]
        blocks.append("\n".join([f"# sent_id = {i}", *lines]) + "\n\n")
    return "".join(blocks)


@pytest.fixture(scope="session")
def treebank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("treebank")
    for split, n in (("train", 12), ("dev", 6), ("test", 5)):
        (folder / f"{split}.conllu").write_text(conllu(n), encoding="utf-8")
    return folder
