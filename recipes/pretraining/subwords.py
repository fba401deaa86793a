"""A tokenizer learnt from the text, and the text as subwords."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pretraining.text import Group, each_line
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

BEGIN, PAD, END, UNKNOWN, MASK = 0, 1, 2, 3, 4
SPECIALS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


def learn_tokenizer(groups: Sequence[Group], *, vocabulary: int, positions: int) -> PreTrainedTokenizerFast:
    """A byte-pair tokenizer of at most `vocabulary` subwords; ▁ marks the start of a word, text is in NFKC form.

    Not Unigram: on text with few word types its trainer splits frequent words.
    """
    inner = Tokenizer(models.BPE(unk_token="<unk>"))
    inner.normalizer = normalizers.NFKC()
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=list(SPECIALS), show_progress=False)
    inner.train_from_iterator(each_line(groups), trainer)
    return xlm_r_style(inner, begin=BEGIN, end=END, longest=positions - 2)


def xlm_r_style(
    inner: Tokenizer, *, begin: int, end: int, longest: int, inputs: Sequence[str] | None = None
) -> PreTrainedTokenizerFast:
    """A fast tokenizer with XLM-R's special tokens around one or two texts, and ▁ at the start of a word.

    Args:
        inner: Subwords and normalisation.
        begin: Id of `<s>`.
        end: Id of `</s>`.
        longest: Most subwords that the encoder takes.
        inputs: What the encoder takes; None leaves Transformers' default.
    """
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    inner.post_processor = processors.TemplateProcessing(
        "<s> $A </s>", "<s> $A </s> </s> $B </s>", special_tokens=[("<s>", begin), ("</s>", end)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<s>",
        eos_token="</s>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        model_max_length=longest,
        **({} if inputs is None else {"model_input_names": list(inputs)}),
    )


@dataclass(frozen=True, eq=False)
class Corpus:
    """All lines as subwords, end to end.

    Attributes:
        subwords: Subwords, int32, without special tokens.
        starts: int64 `[lines + 1]`; line i is `subwords[starts[i] : starts[i + 1]]`.
        groups: int64 `[groups + 1]`; the lines of group g are `groups[g] .. groups[g + 1] - 1`.
    """

    subwords: NDArray[np.int32]
    starts: NDArray[np.int64]
    groups: NDArray[np.int64]

    @property
    def n_lines(self) -> int:
        """Number of lines."""
        return len(self.starts) - 1

    @property
    def group_of_line(self) -> NDArray[np.int64]:
        """The group of every line, int64 `[lines]`."""
        return np.repeat(np.arange(len(self.groups) - 1), np.diff(self.groups))

    def line(self, number: int) -> NDArray[np.int32]:
        """A line's subwords."""
        return self.subwords[self.starts[number] : self.starts[number + 1]]


def as_subwords(groups: Sequence[Group], tokenizer: PreTrainedTokenizerFast, *, block: int = 10_000) -> Corpus:
    """The text as subwords, four bytes each."""
    lines, lengths, found = list(each_line(groups)), list[int](), []
    for start in range(0, len(lines), block):
        encoded = tokenizer(lines[start : start + block], add_special_tokens=False)["input_ids"]
        lengths += [len(ids) for ids in encoded]
        found += [np.array(ids, dtype=np.int32) for ids in encoded]
    return Corpus(
        np.concatenate(found) if found else np.zeros(0, dtype=np.int32),
        np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        np.concatenate([[0], np.cumsum([len(group) for group in groups], dtype=np.int64)]),
    )
