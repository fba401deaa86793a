"""Tiny tokenizers of every kind, trained on made-up words."""

import json
import random
from functools import cache

from fast_tokenizer import fast
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerBase

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
LETTERS = "abcdeéß字"  # in the training text
STRANGE = "жq"  # not in it
KINDS = ("wordpiece", "unigram", "unigram with bytes", "bpe", "bpe with bytes", "bpe of all splits", "byte-level bpe")


def made_up_text(seed: int = 0, *, lines: int = 300) -> list[str]:
    """Lines of words over `LETTERS`, some far more frequent than others."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(LETTERS, k=draw.randint(1, 7))) for _ in range(60)]
    return [" ".join(draw.choices(words, weights=range(1, 61), k=5)) for _ in range(lines)]


@cache
def tiny_tokenizer(kind: str, *, size: int = 60) -> PreTrainedTokenizerBase:
    """A fast tokenizer of at most `size` subwords, 256 more with bytes; `<s> ... </s>` around a sentence."""
    inner, trainer = _untrained(kind, size)
    inner.train_from_iterator(made_up_text(), trainer)
    if kind == "unigram with bytes":
        vocabulary = [(text, score) for text, score in _model(inner).items()]
        inner.model = models.Unigram([*vocabulary, *((text, 0.0) for text in _BYTES)], unk_id=3, byte_fallback=True)
    elif kind in ("bpe with bytes", "bpe of all splits"):
        inner.model = _rebuilt(inner, with_bytes=kind == "bpe with bytes")
    return fast(inner, mask_token="<mask>")


_BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def _untrained(kind: str, size: int) -> tuple[Tokenizer, trainers.Trainer]:
    specials = {"vocab_size": size, "special_tokens": list(SPECIALS), "show_progress": False}
    if kind == "wordpiece":
        inner = Tokenizer(models.WordPiece(unk_token="<unk>"))
        inner.normalizer, inner.pre_tokenizer = normalizers.NFC(), pre_tokenizers.BertPreTokenizer()
        inner.decoder = decoders.WordPiece()
        return inner, trainers.WordPieceTrainer(**specials)
    if kind.startswith("unigram"):
        inner = Tokenizer(models.Unigram())
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        return inner, trainers.UnigramTrainer(unk_token="<unk>", **specials)
    inner = Tokenizer(models.BPE(unk_token=None if kind == "byte-level bpe" else "<unk>"))
    if kind == "byte-level bpe":
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        specials |= {"initial_alphabet": pre_tokenizers.ByteLevel.alphabet(), "vocab_size": size + 256}
    else:
        inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return inner, trainers.BpeTrainer(**specials)


def _model(inner: Tokenizer) -> dict:
    """Scores, or ids, by subword in the order of ids."""
    vocabulary = json.loads(inner.to_str())["model"]["vocab"]
    return dict(vocabulary) if isinstance(vocabulary, list) else dict(sorted(vocabulary.items(), key=lambda item: item[1]))


def _rebuilt(inner: Tokenizer, *, with_bytes: bool) -> models.BPE:
    """The same subwords, with every split of each as a merge, as converted SentencePiece models have them."""
    ids = _model(inner)
    merges = [(text[:i], text[i:]) for text in ids for i in range(1, len(text)) if text[:i] in ids and text[i:] in ids]
    merges = [pair for pair in merges if not any(part in SPECIALS for part in (*pair, "".join(pair)))]
    vocabulary = ids | {text: len(ids) + i for i, text in enumerate(_BYTES if with_bytes else ())}
    return models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", byte_fallback=with_bytes, fuse_unk=True)
