"""What a list of tags looks like: spans of which scheme, parts of speech, bare types, a header."""

import re
from collections import Counter
from collections.abc import Callable, Sequence

from polyhead.data.schemes import Scheme
from polyhead.data.tasks import UPOS

BROKEN_TAGS = 0.02  # share of broken tags up to which a column still counts as the tag column
_LEAST_O = 0.25  # share of O from which tags without prefixes look like types of spans
_MOST_TYPES = 100
_HEADERS = frozenset(
    ("tag", "tags", "label", "labels", "ner", "ner_tag", "ner_tags", "entity", "iob", "bio", "pos", "pos_tag", "upos", "slot")
)
_WORD_HEADERS = frozenset(("token", "tokens", "word", "words", "form", "text"))
is_span_tag = re.compile(r"O|[BIESLUM]-.+").fullmatch
is_upos = frozenset({*UPOS, "_"}).__contains__


def are_spans(tags: Sequence[str]) -> bool:
    """Whether these are tags of spans, with prefixes.

    >>> are_spans(["B-PER", "O"]), are_spans(["O", "O"]), are_spans(["PER", "O"])
    (True, False, False)
    """
    return _mostly(tags, is_span_tag) and set(tags) != {"O"}


def are_upos(tags: Sequence[str]) -> bool:
    """Whether these are universal parts of speech, or `_`."""
    return _mostly(tags, is_upos)


def are_bare(tags: Sequence[str]) -> bool:
    """Whether these are types of spans without prefixes: few, and many O.

    >>> are_bare(["PER", "PER", "O", "O"]), are_bare(["Anna", "sees", "O", "Bonn"]), are_bare(["-PER", "O"])
    (True, False, False)
    """
    types = Counter(tag for tag in tags if tag != "O")
    is_few = 0 < len(types) <= min(_MOST_TYPES, max(2, len(tags) / 4))
    named = all(re.fullmatch(r"[^\W\d][\w./&-]*", tag) and not is_span_tag(tag) for tag in types)
    return is_few and named and tags.count("O") > _LEAST_O * len(tags)


def is_header(row: Sequence[str], tag: str, *, bare: bool) -> bool:
    """Whether a row names columns, where its tag stands in the column of the tags.

    >>> is_header(["token", "ner_tag"], "ner_tag", bare=False), is_header(["word", "O"], "O", bare=False)
    (True, False)
    """
    is_named = tag.lower() in _HEADERS or any(cell.lower() in _WORD_HEADERS for cell in row)
    return is_named and not is_upos(tag) and not is_span_tag(tag) and (not bare or tag.lower() in _HEADERS)


def _mostly(tags: Sequence[str], is_tag: Callable[[str], object]) -> bool:
    known = {tag: is_tag(tag) for tag in set(tags)}
    return sum(not known[tag] for tag in tags) <= BROKEN_TAGS * len(tags)


def guess_scheme(sentences: Sequence[Sequence[str]]) -> Scheme:
    """The scheme of these tags, as far as they show it; a few tags of another scheme do not count.

    >>> guess_scheme([["B-PER", "L-PER"], ["U-LOC"]]), guess_scheme([["B-PER", "I-PER"], ["B-LOC", "B-LOC", "U-LOC"]])
    ('bilou', 'iob2')
    """
    n = Counter(tag[0] for sentence in sentences for tag in sentence if tag[1:2] == "-")

    def ends_marked(last: str, single: str) -> bool:
        """Whether most spans have a mark of their last word, as in schemes that mark it."""
        return 2 * (n[last] + n[single]) > n["B"] + n[single] and n[last] + n[single] > 0

    if ends_marked("L", "U"):
        return "bilou"
    if ends_marked("E", "S"):
        return "bmes" if n["M"] else "bioes"
    if not n["B"]:
        return "io"
    # in IOB1 a B- occurs only right after a span of its own type
    for sentence in sentences:
        for before, tag in zip(["O", *sentence], sentence, strict=False):
            if tag[0] == "B" and before[2:] != tag[2:]:
                return "iob2"
    return "iob1"
