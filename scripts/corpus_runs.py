"""Words in a row as hashes: they tell whether a text is in a corpus without holding the corpus.

`python scripts/corpus_runs.py ../shared/data` writes `tests/documentation/corpus_runs.safetensors`: one in `SHARE` of all runs of
words in the dev and test files of the treebanks that may not be passed on. It holds no text, and none can be read from it.
"""

import json
import lzma
import re
import sys
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

KEPT = Path(__file__).resolve().parents[1] / "tests" / "documentation" / "corpus_runs.safetensors"
NON_COMMERCIAL = r"(UD_Arabic|UD_Hebrew|UD_Urdu|MasakhaNER|WikiNEuRal).*\b(dev|val|test)\b"
SHARE = 104
# Words in a row that give a sentence away, and characters in a row in scripts without spaces.
WORDS, CHARACTERS = 6, 10

END = "\0"  # of a sentence
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"\w+://\S+|[{_UNSPACED}]|[^\W\d_{_UNSPACED}]+|{END}")

Hashes = NDArray[np.uint64]


class Vocabulary(dict[str, tuple[int, ...]]):
    """Numbers of the words in what stands between spaces. Digits, punctuation and addresses are no words.

    A word's hash is odd for a character of a script without spaces, even for other words, and 0 for the end of a sentence. If
    `only` is given, other words end a sentence too.
    """

    def __init__(self, only: Collection[str] = ()) -> None:
        self._only = only
        self.words = {END: 0}
        self._hashes = [0]

    def __missing__(self, token: str) -> tuple[int, ...]:
        self[token] = tuple(0 if self._only and word not in self._only else self._number(word) for word in words(token))
        return self[token]

    def _number(self, word: str) -> int:
        if word not in self.words:
            bits = int.from_bytes(blake2b(word.encode(), digest_size=8).digest(), "little")
            self.words[word] = len(self.words)
            self._hashes.append(bits | 1 if re.match(f"[{_UNSPACED}]", word) else bits & ~1)
        return self.words[word]

    def read(self, text: str) -> Hashes:
        """The hash of every word of a text."""
        numbers = np.fromiter(chain.from_iterable(map(self.__getitem__, text.lower().split())), dtype=np.int32)
        return np.array(self._hashes, dtype=np.uint64)[numbers]


def kept_runs() -> set[int]:
    """The hashes that are kept."""
    return set(load_file(KEPT)["runs"].tolist())


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return [word for word in _WORD.findall(text.lower()) if "://" not in word]


def runs(read: Hashes) -> dict[int, tuple[int, int]]:
    """Where the runs of words are, by their hash: the first and the last word; not of one or two words again and again."""
    found: dict[int, tuple[int, int]] = {}
    for length in (WORDS, CHARACTERS):
        if len(read) < length:
            continue
        windows = sliding_window_view(read, length)
        of_characters = (windows & np.uint64(1)).any(axis=1)
        at = np.flatnonzero(windows.all(axis=1) & (of_characters == (length == CHARACTERS)))
        odd = np.array([pow(0x9E3779B97F4A7C15, place + 1, 2**64) for place in range(length)], dtype=np.uint64)
        hashes = (windows[at] * odd).sum(axis=1, dtype=np.uint64)
        varied = (np.diff(np.sort(windows[at], axis=1), axis=1) > 0).sum(axis=1) >= 3
        found.update(
            (one, (start, start + length)) for one, start in zip(hashes[varied].tolist(), at[varied].tolist(), strict=True)
        )
    return found


def corpora(folder: Path) -> list[Path]:
    """The files of text under a folder of corpora."""
    files = [path for kind in ("ner", "nli", "slots", "ud") for path in sorted((folder / kind).rglob("*")) if path.is_file()]
    return [path for path in files if not re.match("license|readme", path.name.lower())]


def sentences(path: Path) -> str:
    """The sentences of a corpus, an END after each: CoNLL-U, columns of words and tags, tables of sentences, JSON with texts."""
    text = (lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()).decode("utf-8", "replace")
    if ".json" in path.name:
        return f" {END} ".join(item["text"] for item in json.loads(text))
    lines = text.split("\n")
    if re.search("nli|fb-multi", str(path)):
        return f" {END} ".join(dict.fromkeys(field for line in lines for field in line.split("\t")[:3]))
    said = [re.sub(r"^# text[\w-]*\s*[:=]", "", line) for line in lines if line.startswith("# text")]
    return f" {END} ".join([*said, " ".join(_column(lines))])


def _column(lines: list[str]) -> Iterator[str]:
    """The column of words, and END for an empty line."""
    for line in lines:
        if not line:
            yield END
        elif line[0] != "#" or line[1:2] in "\t ":
            first, tab, rest = line.partition("\t" if "\t" in line else " ")
            yield rest.partition("\t")[0] if tab == "\t" and first.partition("-")[0].isdigit() else first


def matched(ours: Collection[int], vocabulary: Vocabulary, files: list[Path]) -> set[int]:
    """Those of our runs that are in the corpora."""
    with ThreadPoolExecutor() as pool:
        return {one for text in pool.map(sentences, files) for one in runs(vocabulary.read(text)).keys() & ours}


def main(folder: Path) -> None:
    """Write the hashes that are kept, from a folder of corpora."""
    found: set[int] = set()
    for path in corpora(folder):
        if re.search(NON_COMMERCIAL, str(path.relative_to(folder))):
            found.update(one for one in runs(Vocabulary().read(sentences(path))) if one % SHARE == 0)
    save_file({"runs": np.array(sorted(found), dtype=np.uint64)}, KEPT)
    print(f"{KEPT}: {len(found)} runs")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
