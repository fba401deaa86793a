"""The table of layouts by name, and the one way to read a file as laid out.

>>> LAYOUTS["massive"].task
'slots'
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

from polyhead.core.errors import SettingError
from polyhead.data.column_format import ColumnFormat, Separator, parse_columns
from polyhead.data.columns import read_columns
from polyhead.data.conllu import Words, read_conllu
from polyhead.data.massive import looks_bracketed, read_bracketed
from polyhead.data.multiatis import looks_like_token_rows, read_token_rows
from polyhead.data.record_format import RecordFormat, parse_records
from polyhead.data.records import CONTAINERS, read_records
from polyhead.data.schemes import scheme as find_scheme
from polyhead.data.sentences import Sentence
from polyhead.data.spans import looks_like_facebook, looks_like_stockmark, read_facebook, read_stockmark
from polyhead.data.tasks import TASKS, TEXT_KINDS, LabelKind
from polyhead.data.text_format import TextFormat, parse_texts
from polyhead.data.textfile import TextFile
from polyhead.data.texts import read_texts
from polyhead.data.word_spans import looks_like_gliner, looks_like_prodigy, read_gliner, read_prodigy


@dataclass(frozen=True)
class NamedLayout:
    """One row: a layout that no declaration of columns describes.

    Attributes:
        name: What users write after `--columns`.
        summary: What such a file is, in a few words.
        task: Name in `TASKS` of what its labels are for; other tasks of the same kind can read it too.
        read: The reader: sentences in file order, spans in IOB2; raises DataFormatError with file, line, what was found and what
            was expected, and counts each repair by `TextFile.repair`.
        recognises: Whether a file's first line of text (of a JSON list: its first lines, joined) looks like this layout; of the
            rows that say so the first one counts.
    """

    name: str
    summary: str
    task: str
    read: Callable[[TextFile], Iterator[Sentence]]
    recognises: Callable[[str], bool]

    @property
    def kind(self) -> LabelKind:
        """Whether its labels mark spans or stand alone."""
        return TASKS[self.task].kind


WordLayout = ColumnFormat | RecordFormat | NamedLayout
Layout = WordLayout | TextFormat
_MULTIATIS = "MultiATIS++ TSV: a header, a sentence a row"

LAYOUTS: dict[str, NamedLayout] = {
    row.name: row
    for row in (
        NamedLayout("facebook", "Facebook TSV: a sentence a row, slots by offsets", "slots", read_facebook, looks_like_facebook),
        NamedLayout("stockmark", "Stockmark JSON: one list of texts with spans", "ner", read_stockmark, looks_like_stockmark),
        NamedLayout("massive", "MASSIVE JSON lines: slots in brackets", "slots", read_bracketed, looks_bracketed),
        NamedLayout(
            "massive:words=characters",
            "MASSIVE JSON lines: slots in brackets",
            "slots",
            partial(read_bracketed, words="characters"),
            partial(looks_bracketed, words="characters"),
        ),
        NamedLayout("multiatis", _MULTIATIS, "slots", read_token_rows, looks_like_token_rows),
        NamedLayout("multiatis:uneven=skip", _MULTIATIS, "slots", partial(read_token_rows, uneven="skip"), looks_like_token_rows),
        NamedLayout("prodigy", "Prodigy JSON lines: tokens, spans of tokens", "ner", read_prodigy, looks_like_prodigy),
        NamedLayout("gliner", "GLiNER JSON: words, spans of words", "ner", read_gliner, looks_like_gliner),
    )
}


def declared_layout(text: str, *, scheme: str | None, kind: LabelKind) -> Layout:
    """The layout that `--columns` declares for labels of a kind: sentences (`parse_texts`), or words (`parse_layout`).

    Raises:
        SettingError: The text is not a layout, or there is a scheme and the labels have none.

    >>> declared_layout("csv:text=review", scheme=None, kind="sentence").label
    ''
    """
    if kind not in TEXT_KINDS:
        return parse_layout(text, scheme=scheme)
    if scheme is not None:
        raise SettingError(f"--scheme {scheme}: sentences have no spans; leave --scheme out")
    return parse_texts(text)


def parse_layout(text: str, *, scheme: str | None) -> WordLayout:
    """The layout of words that `--columns` declares: a name of `LAYOUTS`, or what `parse_columns` or `parse_records` reads.

    Args:
        text: What the user wrote.
        scheme: Value of `--scheme`; a named layout has its own.

    Raises:
        SettingError: The text is not a layout, or both name a scheme and differ.

    >>> parse_layout("facebook", scheme=None).name
    'facebook'
    """
    if text in LAYOUTS:
        if scheme is not None:
            raise SettingError(f"--scheme {scheme}: the layout {text!r} declares how its labels are written; leave --scheme out")
        return LAYOUTS[text]
    kind = text.partition(":")[0].strip()
    if kind not in (*get_args(Separator), *CONTAINERS):
        examples = f"columns such as tab:token=2,tag=3, records such as {', '.join(CONTAINERS)}:token=tokens,tag=ner_tags"
        raise SettingError(f"columns {text[:60]!r}: expected {examples}, or one of {', '.join(LAYOUTS)}")
    layout: ColumnFormat | RecordFormat = parse_records(text) if kind in CONTAINERS else parse_columns(text)
    if scheme is None:
        return layout
    chosen = find_scheme(scheme)
    if layout.scheme is not None and layout.scheme != chosen:
        raise SettingError(f"columns {text!r} declare scheme {layout.scheme}, but --scheme is {chosen}; give one of them")
    return replace(layout, scheme=chosen)


def read_layout(file: TextFile, layout: Layout | None, *, words: Words = "surface", labelled: bool = True) -> Iterator[Sentence]:
    """Sentences in file order, at least one.

    Args:
        file: The file.
        layout: How it is laid out; None means CoNLL-U.
        words: Surface tokens or syntactic words of CoNLL-U (see `read_conllu`).
        labelled: If False, labels of columns, records, sentences and CoNLL-U are not checked or used.

    Raises:
        DataFormatError: The file is not as declared; the message names file, line, what was found and what was expected.
    """
    if layout is None:
        sentences = read_conllu(file, words=words, upos="read" if labelled else "ignore")
    elif isinstance(layout, NamedLayout):
        sentences = layout.read(file)
    elif isinstance(layout, TextFormat):
        sentences = read_texts(file, layout, labelled=labelled)
    elif isinstance(layout, RecordFormat):
        sentences = read_records(file, layout if labelled else replace(layout, tag=None, scheme=None, types=None))
    else:
        sentences = read_columns(file, layout if labelled else replace(layout, scheme=None, types=None))
    is_empty = True
    for sentence in sentences:
        is_empty = False
        yield sentence
    if is_empty:
        raise file.error(0, "end of file and not one sentence", "at least one; check that the file is complete")
