import bz2
import gzip
import hashlib
import lzma
import os
import tracemalloc
from collections import deque

import numpy as np
import pytest

from polyhead.core.errors import DataFormatError
from polyhead.data import textfile
from polyhead.data.textfile import find_file, read_lines

TEXT = b"eins\nzwei\n\ndrei\n"
LINES = [(1, "eins"), (2, "zwei"), (3, ""), (4, "drei")]
COMPRESS = {"": bytes, ".xz": lzma.compress, ".gz": gzip.compress, ".bz2": bz2.compress}


def one_error(path, digest=None):
    with pytest.raises(DataFormatError) as caught:
        list(read_lines(path, digest=digest))
    message = str(caught.value)
    assert "\n" not in message
    assert "; expected " in message
    return message


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_files_read_alike_under_full_and_short_name(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    path.write_bytes(COMPRESS[suffix](TEXT))
    for name in (path, tmp_path / "a.txt"):
        digest = hashlib.sha256()
        assert list(read_lines(name, digest=digest)) == LINES
        assert digest.hexdigest() == hashlib.sha256(TEXT).hexdigest()


def test_the_plain_file_wins_over_a_compressed_one(tmp_path):
    (tmp_path / "a").write_bytes(b"plain\n")
    (tmp_path / "a.xz").write_bytes(lzma.compress(b"packed\n"))
    assert find_file(tmp_path / "a") == tmp_path / "a"


@pytest.mark.parametrize(
    "data",
    [TEXT.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + TEXT, TEXT[:-1], TEXT.replace(b"\n", b"\r\n")[:-2]],
    ids=["crlf", "bom", "no final newline", "crlf without final newline"],
)
def test_variants_that_read_as_the_same_lines(tmp_path, data):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    assert list(read_lines(path)) == LINES


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "\u00a0", "\ufeff"])
def test_only_lf_ends_a_line(tmp_path, character):
    path = tmp_path / "a.txt"
    path.write_text(f"a{character}b\nc\n", encoding="utf-8", newline="")
    assert list(read_lines(path)) == [(1, f"a{character}b"), (2, "c")]


@pytest.mark.parametrize("length", [10_000_000, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_lines_across_chunk_borders(tmp_path, length):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\n" + b"x" * length + b"\r\n" + "é\n".encode() * 3)
    lines = list(read_lines(path))
    assert [number for number, _ in lines] == [1, 2, 3, 4, 5]
    assert lines[1][1] == "x" * length
    assert lines[4][1] == "é"


@pytest.mark.parametrize("before", [1, 300_000])
def test_invalid_utf8_names_line_and_byte_after_the_good_lines(tmp_path, before):
    path = tmp_path / "a.txt"
    path.write_bytes(b"good line\n" * before + b"caf\xe9\nmore\n")
    seen = []
    with pytest.raises(DataFormatError) as caught:
        deque(map(seen.append, read_lines(path)), maxlen=0)
    assert len(seen) == before
    assert str(caught.value).startswith(f"{path}:{before + 1}: byte 0xe9 at byte 4 of the line is not UTF-8; expected UTF-8")


def test_a_character_cut_at_the_end_of_the_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\n" + "é".encode()[:1])
    assert one_error(path).startswith(f"{path}:2: byte 0xc3")


def test_missing_file(tmp_path):
    assert one_error(tmp_path / "nix.conllu").startswith(f"{tmp_path}/nix.conllu: no such file; expected")


def test_folder(tmp_path):
    assert one_error(tmp_path).startswith(f"{tmp_path}: a folder; expected a file")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_unreadable_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(TEXT)
    path.chmod(0)
    assert "cannot be opened (Permission denied)" in one_error(path)


def test_binary_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"text\nmore\x00text\n")
    assert one_error(path) == f"{path}:2: a NUL byte; expected text; is this a binary file?"
    path.write_bytes(b"\x7fELF\x00\xd0\n\x00")
    assert one_error(path) == f"{path}:1: bytes that are not text; expected UTF-8 text; is this a binary file?"


def test_utf16_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("a\n".encode("utf-16"))
    assert f"{path}:1: a UTF-16 byte order mark" in one_error(path)


@pytest.mark.parametrize("suffix", [".xz", ".gz", ".bz2"])
def test_compressed_data_without_the_suffix_is_named(tmp_path, suffix):
    path = tmp_path / "a.conllu"
    path.write_bytes(COMPRESS[suffix](TEXT))
    assert f"{path}:1: " in one_error(path)
    assert "a name that ends in .xz, .gz or .bz2" in one_error(path)


@pytest.mark.parametrize("suffix", [".xz", ".gz", ".bz2"])
@pytest.mark.parametrize("fault", ["truncated", "foreign", "damaged"])
def test_broken_compressed_files(tmp_path, suffix, fault):
    text = b"".join(hashlib.sha256(b"%d" % number).hexdigest().encode() + b"\n" for number in range(25_000))
    data = COMPRESS[suffix](text)
    if fault == "truncated":
        data = data[: len(data) // 2]
    elif fault == "foreign":
        data = text
    else:
        middle = len(data) // 2
        data = data[:middle] + bytes(64) + data[middle + 64 :]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(data)
    message = one_error(path)
    assert message.startswith(f"{path}:")
    assert f"{suffix} data cannot be decompressed" in message


def test_a_lone_carriage_return(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\nold\rmac\n")
    assert one_error(path).startswith(f"{path}:2: a carriage return inside the line; expected line ends LF or CRLF")


@pytest.mark.parametrize("suffix", COMPRESS)
def test_an_empty_file_has_no_lines_or_says_what_is_wrong(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(COMPRESS[suffix](b""))
    assert list(read_lines(path)) == []


@pytest.mark.parametrize("suffix", [".gz", ".xz", ".bz2"])
def test_a_line_without_end_is_not_read_into_memory(tmp_path, suffix):
    path = tmp_path / f"a.txt{suffix}"
    with {".gz": gzip, ".xz": lzma, ".bz2": bz2}[suffix].open(path, "wb") as stream:
        for _ in range(80):
            stream.write(bytes(b"x" * (1 << 20)))
    tracemalloc.start()
    with pytest.raises(DataFormatError, match=r":1: a line of more than 67,108,864 bytes; expected text in lines"):
        list(read_lines(path))
    assert tracemalloc.get_traced_memory()[1] < 2.5 * textfile.LONGEST_LINE
    tracemalloc.stop()


def test_a_small_file_does_not_grow_without_measure(tmp_path, monkeypatch):
    monkeypatch.setattr(textfile, "_BOMB", 1 << 20)
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"a O\n" * (1 << 20)))
    with pytest.raises(DataFormatError, match=r"more than [\d,]+ bytes when decompressed; expected text, .* decompress it"):
        list(read_lines(path))
    path.write_bytes(gzip.compress(np.random.default_rng(0).integers(65, 90, 1 << 21, dtype=np.uint8).tobytes()))
    assert len(list(read_lines(path))) == 1


@pytest.mark.parametrize(
    ("magic", "name", "expected"),
    [
        (b"PAR1", "Parquet", "--columns parquet:token=tokens,tag=ner_tags to read it"),
        (b"ARROW1\0\0", "Arrow", "text; export it as Parquet"),
        (b"SQLite format 3\0", "SQLite", "text; export it as columns"),
    ],
)
def test_binary_tables_are_called_by_their_names(tmp_path, magic, name, expected):
    path = tmp_path / "a.txt"
    path.write_bytes(magic + bytes(100))
    with pytest.raises(DataFormatError, match=f"a binary {name} file; expected {expected}"):
        list(read_lines(path))


@pytest.mark.parametrize("line", [b"\n", b" \r\n", b"# x\n"])
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_long_stretch_without_a_word(tmp_path, monkeypatch, line, suffix):
    monkeypatch.setattr(textfile, "_WORDLESS", 1000)
    path = tmp_path / f"a.txt{suffix}"
    (gzip.open if suffix else open)(path, "wb").write(b"a O\n" + line * 1000 + b"b O\n" + line * 2000)
    with pytest.raises(DataFormatError, match=r":2003: 1,001 lines without a word; expected text"):
        list(read_lines(path))


@pytest.mark.parametrize("suffix", [".xlsx", ".ODS"])
def test_a_document_is_said_to_be_one(tmp_path, suffix):
    path = tmp_path / f"annotated{suffix}"
    path.write_bytes(b"PK\x03\x04and so on")
    with pytest.raises(DataFormatError, match=f"a {suffix} document; expected plain text; save it as text, with a TAB"):
        list(read_lines(path))


def test_curly_quotes_of_windows_are_converted_as_such(tmp_path):
    path = tmp_path / "quotes.tsv"
    path.write_bytes(b"\x93Bonn\x94\tO\n")
    with pytest.raises(DataFormatError, match=r"byte 0x93 .* `iconv -f WINDOWS-1252 -t UTF-8`"):
        list(read_lines(path))
