"""Schemes of span tags (declared, never guessed) and conversion to and from IOB2.

A tag is `O` or `PREFIX-TYPE`, split at its first `-`, so a type may contain `-`, `/` and `_`; in the scheme `bare` it is `O` or
`TYPE`. A scheme is one row of `SCHEMES`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, cast, get_args

from polyhead.core.errors import DataFormatError, SettingError

Scheme = Literal["iob2", "iob1", "bioes", "bilou", "bmes", "io", "bare"]

SCHEMES: Mapping[Scheme, Mapping[str, str]] = {
    "iob2": {"B": "B", "I": "I"},
    "iob1": {"B": "B", "I": "I"},
    "bioes": {"B": "B", "I": "I", "E": "E", "S": "S"},
    "bilou": {"B": "B", "I": "I", "L": "E", "U": "S"},
    "bmes": {"B": "B", "M": "I", "E": "E", "S": "S"},
    "io": {"I": "I"},
    "bare": {},
}
"""The prefixes that each scheme writes, and what each is called in BIOES; `bare` has none."""

SCHEME_NAMES = ", ".join(SCHEMES)
_ALIASES = {"bio": "iob2", "iobes": "bioes", "bilu": "bilou", "bmeso": "bmes", "bmeos": "bmes"}
INSIDE_STARTS = "I- that starts a span read as B-"
BEGIN_IN_IOB1 = "B- where IOB1 writes I- read as the start of a span"
END_STARTS = "E- that starts a span read as B-"
SPAN_NOT_CLOSED = "span without E- closed where it stops"


def as_written(description: str, scheme: Scheme) -> str:
    """The description of a repair with the scheme's own letters for BIOES's.

    >>> as_written(SPAN_NOT_CLOSED, "bilou")
    'span without L- closed where it stops'
    """
    for letter, canonical in SCHEMES[scheme].items():
        if letter != canonical:
            description = description.replace(f"{canonical}-", f"{letter}-")
    return description


_RATHER: dict[str, Scheme] = {
    INSIDE_STARTS: "iob1",
    BEGIN_IN_IOB1: "iob2",
    **{as_written(SPAN_NOT_CLOSED, name): "iob2" for name in SCHEMES},
}


def wrong_scheme(repair: str, n: int, n_spans: int) -> str:
    """What to add to the description of a repair that at least half of the spans of a file needed; else empty.

    >>> wrong_scheme(SPAN_NOT_CLOSED, 30, 30)
    ', in all 30 of 30 spans: is the scheme iob2?'
    """
    if repair not in _RATHER or 2 * n < n_spans:
        return ""
    of = f"{'all ' if n == n_spans else ''}{n} of {n_spans} spans"
    return f", in {of}: is the scheme {_RATHER[repair]}?"


class LabelError(DataFormatError):
    """A tag that its scheme does not allow, or spans that word labels cannot express; readers add file and line.

    Attributes:
        found: What was found.
        expected: What is allowed.
        position: 0-based index of the tag in its sentence; 0 for spans.
    """

    def __init__(self, found: str, expected: str, position: int = 0) -> None:
        super().__init__(f"{found}; expected {expected}")
        self.found, self.expected, self.position = found, expected, position


def scheme(name: str) -> Scheme:
    """The scheme of that name, in any case; `bio` is `iob2`, `iobes` is `bioes`.

    Raises:
        SettingError: There is no such scheme.

    >>> scheme("BIO")
    'iob2'
    """
    lower = _ALIASES.get(name.lower(), name.lower())
    if lower not in get_args(Scheme):
        raise SettingError(f"scheme {name!r}: expected one of {SCHEME_NAMES} (bio is iob2)")
    return cast(Scheme, lower)


def _split(tags: Sequence[str], scheme: Scheme, types: frozenset[str] | None) -> list[tuple[str, str]]:
    """Prefix, in BIOES's letters, and type of each tag; bare types have the prefix of IO."""
    pairs = []
    known: dict[str, tuple[str, str]] = {"O": ("O", "")}
    for position, tag in enumerate(tags):
        pair = known.get(tag)
        if pair is None:
            letter, _, span_type = ("", "", tag) if scheme == "bare" else tag.partition("-")
            prefix = "I" if scheme == "bare" else SCHEMES[scheme].get(letter)
            if prefix is None or not span_type or (scheme == "bare" and tag[:2] in ("B-", "I-")):
                raise LabelError(f"tag {tag!r}", _allowed(scheme), position)
            if types is not None and span_type not in types:
                raise LabelError(f"tag {tag!r} of type {span_type!r}", f"one of the types {', '.join(sorted(types))}", position)
            pair = known[tag] = (prefix, span_type)
        pairs.append(pair)
    return pairs


def _allowed(scheme: Scheme) -> str:
    allowed = " or ".join(f"{letter}-TYPE" for letter in SCHEMES[scheme]) or "TYPE"
    others = ", ".join(other for other in SCHEMES if other != scheme)
    return f"O or {allowed} ({scheme}); --scheme takes {others} too, --columns tab:token=1,tag=N another column"


def to_iob2(
    tags: Sequence[str],
    scheme: Scheme,
    *,
    types: frozenset[str] | None = None,
    on_repair: Callable[[int, str], None] | None = None,
) -> tuple[str, ...]:
    """The tags of one sentence in IOB2, as many as given.

    Args:
        tags: In the order of the words.
        scheme: Scheme of `tags`.
        types: Allowed span types; None allows all.
        on_repair: Called with the 0-based position and a description for every repaired tag: an I- (or E-) that starts a span,
            a needless B- in IOB1, a span of BIOES, BILOU or BMES that is not closed.

    Raises:
        LabelError: A prefix is not in the scheme, or a type is not allowed.

    >>> to_iob2(["I-PER", "I-PER", "B-PER", "O"], "iob1")
    ('B-PER', 'I-PER', 'B-PER', 'O')
    >>> to_iob2(["B-PER", "L-PER", "U-LOC"], "bilou"), to_iob2(["PER", "PER", "LOC"], "bare")
    (('B-PER', 'I-PER', 'B-LOC'), ('B-PER', 'I-PER', 'B-LOC'))
    """
    pairs = _split(tags, scheme, types)
    closes = "E" in SCHEMES[scheme].values()
    repair = on_repair or (lambda position, description: None)
    out = []
    inside = ""
    for position, (prefix, span_type) in enumerate(pairs):
        if prefix == "O":
            out.append("O")
            inside = ""
            continue
        continues = inside == span_type
        starts = not continues or prefix in "BS"
        out.append(("B-" if starts else "I-") + span_type)
        inside = span_type
        if scheme == "iob2" and starts and prefix == "I":
            repair(position, INSIDE_STARTS)
        elif scheme == "iob1" and prefix == "B" and not continues:
            repair(position, BEGIN_IN_IOB1)
        elif closes:
            if starts and prefix in "IE":
                repair(position, as_written(INSIDE_STARTS if prefix == "I" else END_STARTS, scheme))
            following = pairs[position + 1] if position + 1 < len(pairs) else ("O", "")
            if prefix in "BI" and not (following[0] in "IE" and following[1] == span_type):
                repair(position, as_written(SPAN_NOT_CLOSED, scheme))
            if prefix in "ES":
                inside = ""
    return tuple(out)


def from_iob2(tags: Sequence[str], scheme: Scheme) -> tuple[str, ...]:
    """IOB2 tags of one sentence in another scheme; `io` and `bare` lose the boundary between adjacent spans of one type.

    Raises:
        LabelError: `tags` is not IOB2.

    >>> from_iob2(["B-PER", "I-PER", "O", "B-LOC"], "bioes")
    ('B-PER', 'E-PER', 'O', 'S-LOC')
    >>> from_iob2(["B-PER", "I-PER", "O", "B-LOC"], "bare")
    ('PER', 'PER', 'O', 'LOC')
    """
    valid = to_iob2(tags, "iob2")
    letters = {canonical: letter for letter, canonical in SCHEMES[scheme].items()}
    out = []
    for before, tag, after in zip(("O", *valid), valid, (*valid[1:], "O"), strict=False):
        prefix = tag[0]
        if scheme == "io" or (scheme == "iob1" and before[2:] != tag[2:]):
            prefix = "I"
        elif "E" in letters and after != f"I-{tag[2:]}":
            prefix = {"B": "S", "I": "E"}.get(prefix, "")
        written = tag[2:] if scheme == "bare" else f"{letters.get(prefix, prefix)}{tag[1:]}"
        out.append("O" if tag == "O" else written)
    return tuple(out)


WIDENED = "span that begins or ends inside a word, widened to the whole word"
SHARED = "word shared by two spans, given to the first"
Span = tuple[int, int, str]  # first character, the one after the last, type


def span_labels(words: Sequence[tuple[int, int]], spans: Sequence[Span], on_repair: Callable[[str], None]) -> tuple[str, ...]:
    """One IOB2 label per word.

    Args:
        words: First character and the one after the last of each word, in order, without overlap.
        spans: In any order. A span labels every word that it shares a character with.
        on_repair: Called with a description for every span that becomes wider or narrower.

    Raises:
        LabelError: Two spans overlap, or one contains no character of any word.

    >>> span_labels([(0, 3), (4, 10), (11, 16)], [(4, 16, "datetime")], print)
    ('O', 'B-datetime', 'I-datetime')
    """
    labels = ["O"] * len(words)
    end_before = 0
    first_free = 0  # words before this one are labelled, or precede the remaining spans
    for start, end, span_type in sorted(spans):
        if start < end_before:
            raise LabelError(f"span {start}:{end}:{span_type} overlaps the span that ends at {end_before}", "spans side by side")
        end_before = end
        touched = [i for i, (first, last) in enumerate(words) if first < end and last > start]
        free = [i for i in touched if i >= first_free]
        if not touched:
            raise LabelError(f"span {start}:{end}:{span_type} contains no word", "a span over one or more words")
        if len(free) < len(touched):
            on_repair(SHARED)
        if words[touched[0]][0] < start or words[touched[-1]][1] > end:
            on_repair(WIDENED)
        for i in free:
            labels[i] = ("B-" if i == free[0] else "I-") + span_type
        first_free = touched[-1] + 1
    return tuple(labels)
