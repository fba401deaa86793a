"""Raw text by language, from files and corpora that a command names."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from polyhead.core.errors import SettingError
from polyhead.data.corpora import corpus, open_corpus
from polyhead.data.corpus_table import Split
from polyhead.data.plain_text import Line, read_text
from polyhead.data.references import is_language_code

Texts = dict[str, Iterable[Line]]


def texts_by_language(option: str, files: Sequence[str], corpora: Sequence[str], root: Path | None, split: Split) -> Texts:
    """The lines of each language, in the order in which languages are named; files are opened when they are read.

    Args:
        option: What names the files, for messages.
        files: As `LANGUAGE=FILE`.
        corpora: Names, each in its language.
        root: Folder of the corpora.
        split: Of the corpora.

    Raises:
        SettingError: One is not written like that.
        UnknownNameError: There is no corpus of this name.
    """
    parts: dict[str, list[Iterable[Line]]] = {}
    for text in files:
        language, equals, path = text.partition("=")
        if not equals or not path:
            what, path = ("names no file", "news.txt") if equals else ("names no language", text or "news.txt")
            raise SettingError(f"{option} {text}: {what}; write LANGUAGE=FILE, for example de={path}")
        if not is_language_code(language):
            raise SettingError(
                f"{option} {text}: {language!r} is not a language code; expected BCP-47 (de, hau, zh-Hant), or und"
            )
        parts.setdefault(language, []).append(_read(Path(path).expanduser(), language))
    for name in corpora:
        if "=" in name:
            raise SettingError(f"--corpus {name}: expected a corpus such as ud/de_gsd; name a file with --text {name}")
        parts.setdefault(corpus(name).language, []).append(open_corpus(name, split, root=root))
    return {language: chain.from_iterable(lines) for language, lines in parts.items()}


def _read(path: Path, language: str) -> Iterator[Line]:
    return read_text(path, language=language)
