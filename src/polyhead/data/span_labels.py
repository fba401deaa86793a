"""From spans of characters to IOB2 labels of words, with every span that does not fit its words counted."""

from collections.abc import Callable, Sequence

from polyhead.core.errors import DataFormatError

WIDENED = "span that begins or ends inside a word, widened to the whole word"
SHARED = "word that two spans share, given to the first of them"

Span = tuple[int, int, str]  # first character, the one after the last, type


class SpanError(DataFormatError):
    """Spans that no labelling can express; readers add file and line.

    Attributes:
        found: What stands there.
        expected: What is allowed.
    """

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"{found}; expected {expected}")
        self.found, self.expected = found, expected


def span_labels(words: Sequence[tuple[int, int]], spans: Sequence[Span], on_repair: Callable[[str], None]) -> tuple[str, ...]:
    """One IOB2 label a word.

    Args:
        words: First character and the one after the last of each word, in order, none inside another.
        spans: In any order. A span labels every word that it shares a character with.
        on_repair: Called with a description for every span that is wider or narrower after that than it was.

    Raises:
        SpanError: Two spans overlap, or one holds no character of any word.

    >>> span_labels([(0, 3), (4, 10), (11, 16)], [(4, 16, "datetime")], print)
    ('O', 'B-datetime', 'I-datetime')
    """
    labels = ["O"] * len(words)
    end_before = 0
    first_free = 0  # words before this one are labelled, or lie before the spans that are left
    for start, end, span_type in sorted(spans):
        if start < end_before:
            raise SpanError(f"span {start}:{end}:{span_type} overlaps the span that ends at {end_before}", "spans side by side")
        end_before = end
        touched = [i for i, (first, last) in enumerate(words) if first < end and last > start]
        free = [i for i in touched if i >= first_free]
        if not touched:
            raise SpanError(f"span {start}:{end}:{span_type} holds no character of a word", "a span over one or more words")
        if len(free) < len(touched):
            on_repair(SHARED)
        if words[touched[0]][0] < start or words[touched[-1]][1] > end:
            on_repair(WIDENED)
        for i in free:
            labels[i] = ("B-" if i == free[0] else "I-") + span_type
        first_free = touched[-1] + 1
    return tuple(labels)
