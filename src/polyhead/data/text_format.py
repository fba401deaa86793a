"""Declaration of files of sentences: a label for each text, or pair of texts, in columns that a header or keys name."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from polyhead.core.errors import SettingError

TableName = Literal["tsv", "csv", "jsonl", "parquet", "datasets", "lines"]
NO_COLUMN = "none"

# The pairs of names before the lone ones: a file with both holds pairs. From GLUE, XTREME and the Hub's most used data sets.
PAIRS: tuple[tuple[str, str], ...] = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_A", "sentence_B"),
    ("text1", "text2"),
    ("text_a", "text_b"),
    ("question1", "question2"),
    ("question", "sentence"),
    ("prem", "hyp"),
)
TEXTS = ("text", "sentence", "utterance", "utt", "content", "review", "tweet", "query")
LABELS = ("label", "gold_label", "labels", "class", "category", "intent", "sentiment", "target")


@dataclass(frozen=True)
class TextFormat:
    """Layout of a file of sentences.

    Attributes:
        container: `tsv`: columns separated by TAB, without quoting; `csv`: by commas, with double quotes; `jsonl`: an object a
            line; `parquet`; `datasets`: a folder that `save_to_disk` of the `datasets` library wrote; `lines`: raw text, a
            sentence a line; None: as the file shows. `tsv` and `csv` begin with a row of names.
        text: Name of the column of the text, of the first one of a pair; empty: by the usual names (`PAIRS`, `TEXTS`).
        pair: Name of the second text's column; `none` if there is none; empty: by the usual names if `text` is empty too.
        label: Name of the column of labels; `none` if there is none; empty: by the usual names (`LABELS`).
        names: Labels in the order of their numbers, for labels that are numbers; None takes those that the file holds.
        types: Allowed labels; None allows all.
        n_texts: Texts that a label belongs to; None takes what there is.
        needs_label: Whether there must be a column of labels.
    """

    container: TableName | None = None
    text: str = ""
    pair: str = ""
    label: str = ""
    names: tuple[str, ...] | None = None
    types: tuple[str, ...] | None = None
    n_texts: int | None = None
    needs_label: bool = True

    def __post_init__(self) -> None:
        named = [name for name in (self.text, self.pair, self.label) if name not in ("", NO_COLUMN)]
        if twice := [name for name in named if named.count(name) > 1]:
            raise SettingError(f"--columns: {twice[0]!r} is named twice; text, pair and label are different columns")
        if self.names is not None and (not self.names or len(set(self.names)) < len(self.names)):
            raise SettingError(
                f"--columns: names={' '.join(self.names)!r}; expected every label once, in the order of the numbers"
            )

    @property
    def spec(self) -> str:
        """What declares this layout after `--columns`.

        >>> parse_texts("tsv:text=prem,pair=hyp").spec
        'tsv:text=prem,pair=hyp'
        """
        given = [f"{key}={value}" for key in ("text", "pair", "label") if (value := getattr(self, key))]
        given += [f"names={' '.join(self.names)}"] if self.names else []
        return f"{self.container or 'tsv'}{':' if given else ''}{','.join(given)}"


def declares_texts(text: str) -> bool:
    """Whether a value of `--columns` declares sentences rather than words.

    >>> declares_texts("lines"), declares_texts("jsonl:text=review"), declares_texts("jsonl:token=words")
    (True, True, False)
    """
    container, _, rest = text.strip().partition(":")
    return container in ("tsv", "csv", "lines") or any(
        item.strip().startswith(("text=", "pair=", "label=")) for item in rest.split(",")
    )


def parse_texts(text: str) -> TextFormat:
    """The format declared by a compact text such as `tsv:text=premise,pair=hypothesis,label=gold_label`.

    The container (`tsv`, `csv`, `jsonl`, `parquet`, `datasets` or `lines`) comes before the colon; after it any of `text=NAME`,
    `pair=NAME|none`, `label=NAME|none` or `names=no yes` (separated by spaces).

    Raises:
        SettingError: The text does not have this form.

    >>> parse_texts("jsonl:text=review,label=stars,names=bad good").names
    ('bad', 'good')
    """
    container, _, rest = (part.strip() for part in text.partition(":"))
    if container not in get_args(TableName):
        known = ", ".join(get_args(TableName))
        raise SettingError(f"columns {text[:60]!r}: {container!r} before the colon; for sentences expected {known}")
    declared: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in rest.split(","))):
        key, _, value = (part.strip() for part in item.partition("="))
        if key in ("text", "pair", "label") and value and (key, value) != ("text", NO_COLUMN):
            declared[key] = value
        elif key == "names" and value:
            declared[key] = tuple(value.split())
        else:
            allowed = "text=NAME, pair=NAME|none, label=NAME|none, names=no yes"
            raise SettingError(f"columns {text[:60]!r}: {item[:60]!r}; for sentences expected {allowed}")
    return TextFormat(cast(TableName, container), **declared)


def text_columns(layout: TextFormat, there: Sequence[str]) -> tuple[tuple[str, ...], str | None]:
    """The columns of the texts and that of the labels, as declared or by their usual names, among those that are there.

    No text is returned if none has a usual name; a declared column is returned whether or not it is there.

    >>> text_columns(TextFormat(), ["id", "sentence1", "sentence2", "label"])
    (('sentence1', 'sentence2'), 'label')
    >>> text_columns(TextFormat(pair="none"), ["premise", "hypothesis", "text"]), text_columns(TextFormat(), ["id"])
    ((('text',), None), ((), None))
    """
    texts: tuple[str, ...]
    if layout.text:
        texts = (layout.text,) if layout.pair in ("", NO_COLUMN) else (layout.text, layout.pair)
    else:
        pairs = [pair for pair in PAIRS if set(pair) <= set(there) and layout.pair in ("", pair[1])]
        lone = [(name,) for name in TEXTS if name in there]
        texts = next(iter([*pairs, *([] if layout.pair not in ("", NO_COLUMN) else lone)]), ())
    label = layout.label or next((name for name in LABELS if name in there and name not in texts), NO_COLUMN)
    return texts, None if label == NO_COLUMN else label
