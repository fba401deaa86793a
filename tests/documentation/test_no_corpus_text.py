"""No committed file holds a sentence of a corpus: many may not be passed on, some not even shown."""

import json
import lzma
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOWN = ("examples", "docs", "README.md")
# Words in a row that give a sentence away: in data, in scripts without spaces (where each character counts), and in prose, whose
# everyday phrases are in every large corpus
IN_DATA, IN_UNSPACED, IN_PROSE = 5, 10, 8
_UNSPACED = "\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W\d_{_UNSPACED}]+")
_ADDRESS = re.compile(r"\w+://\S+")
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")

Run = tuple[str, ...]


def words(text: str) -> list[str]:
    """Words without digits, punctuation and addresses."""
    return _WORD.findall(_ADDRESS.sub(" ", text.lower()))


def runs(found: list[str]) -> Iterator[Run]:
    """Words in a row, of every length that counts."""
    for n in (IN_DATA, IN_PROSE, IN_UNSPACED):
        yield from zip(*(found[start:] for start in range(n)), strict=False)


def counts(run: Run, *, in_prose: bool) -> bool:
    """Whether the run is long enough for its kind, and not one word again and again."""
    least = IN_UNSPACED if re.search(f"[{_UNSPACED}]", "".join(run)) else IN_PROSE if in_prose else IN_DATA
    return len(run) >= least and len(set(run)) > 3


def committed() -> dict[str, str]:
    """The text of every committed file that readers are shown, by its path."""
    listed = subprocess.run(["git", "ls-files", "-z", *SHOWN], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    found = {}
    for name in filter(None, listed.split("\0")):
        raw = (ROOT / name).read_bytes()
        if b"\0" not in raw:
            found[name] = _ESCAPED.sub(lambda met: chr(int(met[1], 16)), raw.decode("utf-8"))
    return found


def sentences(path: Path) -> Iterator[list[str]]:
    """Words of each sentence of a corpus: CoNLL-U, columns of words and tags, or JSON with texts."""
    text = (lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()).decode("utf-8", "replace")
    if ".json" in path.name:
        yield from (words(item["text"]) for item in json.loads(text))
        return
    for block in re.split(r"\n\s*\n", text):
        rows = [line.split("\t") if "\t" in line else line.split() for line in block.split("\n") if line and line[0] != "#"]
        yield words(" ".join(row[1] if row[0].partition("-")[0].isdigit() and len(row) > 1 else row[0] for row in rows if row))


def copied(texts: dict[str, str], corpora: list[Path]) -> dict[str, list[str]]:
    """By file, the words in a row that a sentence of a corpus has too."""
    by_file = {
        name: {run for run in runs(words(text)) if counts(run, in_prose=name.endswith(".md"))} for name, text in texts.items()
    }
    ours = set().union(*by_file.values())
    vocabulary = {word for run in ours for word in run}
    met: set[Run] = set()
    for path in corpora:
        for sentence in sentences(path):
            if sum(word in vocabulary for word in sentence) >= IN_DATA:
                met |= ours.intersection(runs(sentence))
    return {name: sorted(" ".join(run) for run in found & met) for name, found in by_file.items() if found & met}


def corpora(shared: Path) -> list[Path]:
    folders = [shared / "data" / kind for kind in ("ud", "ner")]
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in files if not re.match("license|readme", path.name.lower()) and path.suffix != ".md"]


def test_no_committed_file_holds_a_sentence_of_a_corpus(shared: Path) -> None:
    files = corpora(shared)
    assert len(files) > 50
    assert copied(committed(), files) == {}, "made again with --no-text?"


@pytest.mark.parametrize("name", ["heads.json", "page.html"])
def test_sentences_in_data_are_found(tmp_path: Path, name: str) -> None:
    rows = enumerate(["Der", "rote", "Fuchs", "sah", "12", "Hühner", ",", "gestern", "."], start=1)
    block = "# text = x\n" + "\n".join(f"{number}\t{word}\tx" for number, word in rows)
    (tmp_path / "a.conllu.xz").write_bytes(lzma.compress(f"{block}\n\n1\tJa\tx\n".encode()))
    (tmp_path / "b.txt").write_text("我 O\n" + "\n".join(f"{character} O" for character in "想买一张去北京的车票") + "\n")
    files = sorted(tmp_path.iterdir())
    found = copied({name: '{"words":["Der","rote","Fuchs","sah","12","Hühner"]}'}, files)
    assert found == {name: ["der rote fuchs sah hühner"]}
    assert copied({name: "der rote fuchs sah gestern hühner"}, files) == {}
    assert copied({name: '["想买一张","去北京的车票"]'}, files) == {name: ["想 买 一 张 去 北 京 的 车 票"]}
    assert copied({"a.md": "Der rote Fuchs sah Hühner, sagt man."}, files) == {}
