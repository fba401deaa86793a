"""Warnings, one line each, for text that looks misread or makes scores worthless; nothing is refused."""

from collections.abc import Iterator, Sequence
from itertools import takewhile

from polyhead.core.values import counted
from polyhead.data.sentences import Dataset

_LONG = 1000  # words; sentences of treebanks and entity corpora are far shorter
_FEW = 20  # with fewer sentences or words a pattern may be chance
_SHARED = 0.1  # share of a test set in the training text that set phrases cannot explain


def suspicious_text(dataset: Dataset) -> Iterator[str]:
    """What looks wrong in one split, if anything.

    >>> from polyhead.data.sentences import Sentence
    >>> words = Dataset("x", "nl", "train", tuple(Sentence((w,), ("O",), "nl", "x:1") for w in "abc" * 10))
    >>> list(suspicious_text(words))
    ['every sentence has one word: does a blank line follow each word?']
    """
    lengths = [len(sentence.words) for sentence in dataset.sentences]
    if (longest := max(lengths, default=0)) > _LONG:
        of = counted(len(lengths), "sentence")
        yield f"the longest of {of} has {longest:,} words: are blank lines between sentences missing?"
    if len(lengths) >= _FEW and longest == 1 and not any(sentence.texts for sentence in dataset):
        yield "every sentence has one word: does a blank line follow each word?"
    words = {word for sentence in dataset.sentences for word in sentence.words}
    pairs = zip(min(words, default=""), max(words, default=""), strict=False)
    prefix = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    if len(words) >= _FEW and len(prefix) > 1:
        yield f"all {len(words):,} different words begin with {prefix!r}: is that part of the text?"


def seen_before(seen: Sequence[Dataset], tests: Sequence[Dataset]) -> Iterator[str]:
    """A warning for each test set with at least a tenth of its sentences in the text that is trained, ranked or selected on."""
    known = {sentence.key for data in seen for sentence in data.sentences}
    for test in tests:
        n, total = sum(sentence.key in known for sentence in test.sentences), len(test.sentences)
        if n and n >= _SHARED * total:
            where = "are also in the text that is trained, ranked or selected on"
            yield f"{test.name} {test.split}: {n:,} of {total:,} sentences {where}: scores on them say little"
