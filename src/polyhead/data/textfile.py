"""Numbered lines of a text file, decompressed, decoded and hashed, or one clear error.

Only LF and CRLF end a line: U+2028, U+0085 and the like are characters of a word.
"""

import bz2
import gzip
import hashlib
import lzma
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import BinaryIO, cast

from polyhead.core.errors import DataFormatError
from polyhead.data.sentences import Sentence

BOM = b"\xef\xbb\xbf"
_OPENERS: Mapping[str, Callable[..., object]] = {".xz": lzma.open, ".gz": gzip.open, ".bz2": bz2.open}
SUFFIXES = tuple(_OPENERS)
_MAGIC = {b"\xfd7zXZ\x00": "xz", b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd"}
_DOCUMENTS = (".xlsx", ".ods", ".docx", ".odt")
_TABLES = {
    b"PAR1": ("Parquet", "--columns parquet:token=tokens,tag=ner_tags to read it"),
    b"ARROW1": ("Arrow", "text; export it as Parquet or JSON Lines"),
    b"SQLite format 3\x00": ("SQLite", "text; export it as columns, a word and its tag on each line"),
}
LONGEST_LINE = 1 << 26  # bytes
# A compressed file that grows beyond this many bytes and this ratio is not text.
_BOMB, _RATIO = 1 << 26, 200
_WORDLESS = 1 << 18  # blank lines and comments in a row; text has words between them
BLANK = "line of white space read as a blank line"


def data_error(path: Path, line: int | str, found: str, expected: str) -> DataFormatError:
    """A one-line error `path:line: found; expected ...`; line 0 means the whole file and is not shown."""
    return DataFormatError(f"{path}{f':{line}' if line else ''}: {found}; expected {expected}")


def shown(text: str, limit: int = 60) -> str:
    """`text` quoted for a one-line message, truncated to `limit` characters.

    >>> shown("a\\tb"), shown("x" * 100, 3)
    ("'a\\\\tb'", "'xxx'...")
    """
    return repr(text) if len(text) <= limit else repr(text[:limit]) + "..."


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file being read into sentences.

    Attributes:
        path: Plain or compressed (`read_lines`).
        language: BCP-47 code of the sentences.
        strict: Raise where a repair would be counted.
        repairs: Number of repairs by description.
        digest: A hashlib object that receives the decompressed bytes.
    """

    path: Path
    language: str
    strict: bool = False
    repairs: Counter[str] = field(default_factory=Counter)
    digest: "hashlib._Hash | None" = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", find_file(self.path) or self.path)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Every line with its number; see `read_lines`."""
        return read_lines(self.path, digest=self.digest)

    def blocks(self) -> Iterator[list[tuple[int, str]]]:
        """The numbered lines between blank lines, as a list each; a line of white space is blank and counted as a repair."""
        block: list[tuple[int, str]] = []
        for number, line in self.lines():
            if not is_blank(line):
                block.append((number, line))
                continue
            if block:
                yield block
                block = []
            if line:
                self.repair(number, BLANK, "an empty line")
        if block:
            yield block

    def sentence(self, words: Iterable[str], labels: Iterable[str | None], where: int | str) -> Sentence:
        """A sentence that begins at this line or record."""
        return Sentence(tuple(words), tuple(labels), self.language, f"{self.path}:{where}")

    def example(self, texts: Sequence[str], label: str | None, where: int | str) -> Sentence:
        """A text, or a pair of texts, with one label, at this line or record."""
        words = tuple(word for text in texts for word in text.split())
        return Sentence(words, (label,), self.language, f"{self.path}:{where}", tuple(texts))

    def repair(self, where: int | str, description: str, expected: str) -> None:
        """Count a repair, or raise if reading is strict."""
        if self.strict:
            raise self.error(where, description, f"{expected} (strict reading allows no repair)")
        self.repairs[description] += 1

    def error(self, where: int | str, found: str, expected: str) -> DataFormatError:
        """A one-line error at a line or record of the file; see `data_error`."""
        return data_error(self.path, where, found, expected)


def is_blank(line: str) -> bool:
    """Whether a line ends a sentence: it is empty, or has only spaces, TABs or a stray byte order mark.

    >>> is_blank(""), is_blank(" \\t"), is_blank("\\tO"), is_blank("\\u3000")
    (True, True, False, False)
    """
    return not line or (line[0] in " \t\ufeff" and not line.strip(" \t\ufeff"))


def find_file(path: Path) -> Path | None:
    """`path` itself if it exists, else the same name with `.xz`, `.gz` or `.bz2`, else None."""
    candidates = (path, *(path.with_name(path.name + suffix) for suffix in SUFFIXES if path.name))  # "." and "/" have no name
    return next((candidate for candidate in candidates if candidate.exists()), None)


def read_lines(path: Path, *, digest: "hashlib._Hash | None" = None) -> Iterator[tuple[int, str]]:
    """Every line with its 1-based number, without its line end, in file order; memory is bounded by the longest line.

    `.xz`, `.gz` and `.bz2` files are decompressed (by their suffix); a name that does not exist is also tried with these
    suffixes. One leading byte order mark is dropped, CRLF counts as LF, and the last line needs no line end.

    Args:
        path: The file; a pipe such as `/dev/stdin` will do.
        digest: A hashlib object that is fed the decompressed bytes, so that a file is read once; complete when the
            iterator is exhausted.

    Raises:
        DataFormatError: The file is missing, a folder, unreadable, corrupt or truncated; it is not UTF-8, holds a NUL byte
            or a carriage return inside a line; a line has more than `LONGEST_LINE` bytes, a compressed file grows too far, or
            a long stretch has no word.
            All lines before the fault have been yielded.
    """
    found = find_file(path)
    if found is None:
        raise data_error(path, 0, "no such file", f"a text file, or the same name with {', '.join(SUFFIXES)}; check the path")
    if found.is_dir():
        is_saved = (found / "dataset_info.json").exists() or (found / "dataset_dict.json").exists()
        step = (
            "--columns datasets:token=tokens,tag=ner_tags to read a saved dataset" if is_saved else "name one of the files in it"
        )
        raise data_error(found, 0, "a folder", f"a file; {step}")
    size, wordless, most = 0, 0, max(_BOMB, _RATIO * found.stat().st_size) if found.suffix in SUFFIXES else None
    with open_decompressed(found) as stream:
        for number in count(1):
            raw = _next_line(stream, found, number)
            if not raw:
                return
            if digest is not None:
                digest.update(raw)
            size += len(raw)
            if most is not None and size > most:
                expected = f"text, which does not grow to more than {_RATIO} times its compressed size; decompress it yourself"
                raise data_error(found, number, f"more than {most:,} bytes when decompressed", expected)
            wordless = wordless + 1 if raw.isspace() or raw[0] == 0x23 else 0
            if wordless > _WORDLESS:
                raise data_error(found, number, f"{wordless:,} lines without a word", "text; is this the right file?")
            if number == 1:
                _refuse_other_formats(found, raw)
                raw = raw.removeprefix(BOM)
                if not raw:
                    return
            yield number, _decoded(found, number, raw.removesuffix(b"\n").removesuffix(b"\r"))


def read_bytes(path: Path) -> bytes:
    """The decompressed bytes of a text file that a reader has accepted."""
    with open_decompressed(find_file(path) or path) as stream:
        return stream.read()


def open_decompressed(path: Path) -> BinaryIO:
    """The file opened for reading, decompressed if its suffix says that it is compressed.

    Raises:
        DataFormatError: It cannot be opened.
    """
    try:
        return cast(BinaryIO, _OPENERS.get(path.suffix, open)(path, "rb"))
    except OSError as error:
        raise data_error(path, 0, f"cannot be opened ({error.strerror or error})", "a readable file") from error


def _next_line(stream: BinaryIO, path: Path, number: int) -> bytes:
    # gzip and bz2 raise OSError without a number for corrupt data; with a number, the file itself cannot be read.
    try:
        raw = stream.readline(LONGEST_LINE + 1)
    except (EOFError, lzma.LZMAError, zlib.error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise data_error(path, 0, f"cannot be read ({error.strerror or error})", "a readable file") from error
        found = f"{path.suffix} data cannot be decompressed ({error})"
        raise data_error(path, number, found, "a whole, undamaged file; copy it again") from error
    if len(raw) > LONGEST_LINE:
        raise data_error(path, number, f"a line of more than {LONGEST_LINE:,} bytes", "text in lines")
    return raw


def _refuse_other_formats(path: Path, start: bytes) -> None:
    for magic, name in _MAGIC.items():
        if start.startswith(magic) and name == "zip" and path.suffix.lower() in _DOCUMENTS:
            raise data_error(path, 1, f"a {path.suffix} document", "plain text; save it as text, with a TAB between columns")
        if start.startswith(magic):
            raise data_error(path, 1, f"{name} data without its suffix", "plain text, or a name that ends in .xz, .gz or .bz2")
    for magic, (name, expected) in _TABLES.items():
        if start.startswith(magic):
            raise data_error(path, 1, f"a binary {name} file", expected)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise data_error(path, 1, "a UTF-16 byte order mark", "UTF-8; convert with `iconv -f UTF-16 -t UTF-8`")


def _decoded(path: Path, number: int, raw: bytes) -> str:
    try:
        line = raw.decode()
    except UnicodeDecodeError as error:
        if b"\x00" in raw:
            raise data_error(path, number, "bytes that are not text", "UTF-8 text; is this a binary file?") from error
        found = f"byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the line is not UTF-8"
        raise data_error(
            path, number, found, "UTF-8 text; convert it, for example with `iconv -f WINDOWS-1252 -t UTF-8`"
        ) from error
    if "\x00" in line:
        raise data_error(path, number, "a NUL byte", "text; is this a binary file?")
    if "\r" in line:
        raise data_error(path, number, "a carriage return inside the line", "line ends LF or CRLF; convert the file")
    return line
