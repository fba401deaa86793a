"""Declaration of files of records: one sentence a record, with its words and its tags under names."""

from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from polyhead.core.errors import SettingError
from polyhead.data.schemes import Scheme, scheme

ContainerName = Literal["jsonl", "parquet", "datasets"]


@dataclass(frozen=True)
class RecordFormat:
    """Layout of a file of records.

    Attributes:
        container: `jsonl`: JSON Lines, an object a line; `parquet`; `datasets`: a folder that `save_to_disk` of the `datasets`
            library wrote.
        token: Name of the list of words.
        tag: Name of the list of tags; None for records without tags (every label is None).
        names: Names of the tags in the order of their numbers, for tags that are numbers; None takes those that the file holds.
        scheme: Scheme of the span tags; None for tags of single words (part of speech).
        types: Allowed span types, or allowed tags where `scheme` is None; None allows all.
        skip_wordless: Leave out empty words with the tag O, counted as repairs.
    """

    container: ContainerName
    token: str = "tokens"
    tag: str | None = "ner_tags"
    names: tuple[str, ...] | None = None
    scheme: Scheme | None = None
    types: frozenset[str] | None = None
    skip_wordless: bool = False

    def __post_init__(self) -> None:
        if self.token == self.tag:
            raise SettingError(f"--columns: token and tag are both {self.token!r}; name the list of words and the list of tags")
        if self.names is not None and (not self.names or len(set(self.names)) < len(self.names)):
            raise SettingError(
                f"--columns: names={' '.join(self.names)!r}; expected every tag once, in the order of their numbers"
            )


def parse_records(text: str) -> RecordFormat:
    """The format declared by a compact text such as `jsonl:token=words,tag=upos`.

    The container (`jsonl`, `parquet` or `datasets`) comes before the colon; after it any of `token=NAME`, `tag=NAME|none`,
    `names=O B-PER I-PER` (separated by spaces), `scheme=NAME` or `empty=skip|error`. By default the words are `tokens` and
    the tags `ner_tags`.

    Raises:
        SettingError: The text does not have this form.

    >>> parse_records("jsonl:tag=upos").tag, parse_records("parquet:names=O B-X I-X").names
    ('upos', ('O', 'B-X', 'I-X'))
    """
    container, _, rest = text.strip().partition(":")
    if container not in get_args(ContainerName):
        raise SettingError(
            f"columns {text[:60]!r}: {container!r} before the colon; expected {', '.join(get_args(ContainerName))}"
        )
    declared: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in rest.split(","))):
        key, _, value = (part.strip() for part in item.partition("="))
        if key in ("token", "tag") and value and (key, value) != ("token", "none"):
            declared[key] = None if value == "none" else value
        elif key == "names" and value:
            declared[key] = tuple(value.split())
        elif key == "scheme":
            declared[key] = scheme(value)
        elif key == "empty" and value in ("skip", "error"):
            declared["skip_wordless"] = value == "skip"
        else:
            allowed = "token=NAME, tag=NAME|none, names=O B-X I-X, scheme=NAME, empty=skip"
            raise SettingError(f"columns {text[:60]!r}: {item[:60]!r}; expected {allowed}")
    return RecordFormat(cast(ContainerName, container), **declared)
