"""No committed file holds a sentence of a corpus: many may not be passed on, some not even shown."""

import lzma
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from corpus_runs import KEPT, NON_COMMERCIAL, SHARE, Vocabulary, corpora, kept_runs, matched, runs, words  # noqa: E402

ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
# Everyday phrases, by the hash that the failing test prints: six words that anyone may write.
EVERYDAY = frozenset({0xD3EB07D23A6D8342, 0x8DDF79F1F3C03172})


@cache
def committed() -> dict[str, str]:
    """Every committed text by its path."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    raw = {name: (ROOT / name).read_bytes() for name in listed.split("\0") if name and (ROOT / name).is_file()}
    return {name: unescaped(content.decode("utf-8")) for name, content in raw.items() if b"\0" not in content}


def unescaped(text: str) -> str:
    return ESCAPED.sub(lambda met: chr(int(met[1], 16)), text)


def copied(texts: dict[str, str], known: list[Path] | set[int]) -> dict[str, list[str]]:
    """By file, the hash and the words of each run that is in the corpora, or among known hashes."""
    vocabulary = Vocabulary()
    by_file = {name: runs(vocabulary.read(text)) for name, text in texts.items()}
    ours = {one for found in by_file.values() for one in found} - EVERYDAY
    met = matched(ours, Vocabulary(vocabulary.words), known) if isinstance(known, list) else ours & known
    return {
        name: [f"{one:#018x} {' '.join(words(texts[name])[slice(*found[one])])}" for one in found.keys() & met]
        for name, found in by_file.items()
        if found.keys() & met
    }


def test_no_committed_file_holds_a_sentence_of_a_corpus(shared: Path) -> None:
    files = corpora(shared / "data")
    assert {path.relative_to(shared).parts[1] for path in files} == {"ner", "nli", "slots", "ud"}
    assert len(committed()) > 500
    assert copied(committed(), files) == {}, "made again with --no-text? An everyday phrase goes into EVERYDAY by its hash"


def test_no_committed_file_holds_much_of_a_treebank_that_may_not_be_passed_on() -> None:
    """Without the treebanks too: one in `SHARE` of their runs is kept as a hash."""
    assert KEPT.stat().st_size < 200_000
    assert copied(committed(), kept_runs()) == {}


def test_the_kept_hashes_are_of_every_treebank_that_may_not_be_passed_on(shared: Path) -> None:
    kept = kept_runs()
    files = [path for path in corpora(shared / "data") if re.search(NON_COMMERCIAL, str(path))]
    assert len({path.parent for path in files}) == 12
    for path in files[::5]:
        found = matched(kept, Vocabulary(), [path])
        assert found, path


@pytest.mark.parametrize("name", ["heads.json", "page.html", "a.md", "code.py"])
def test_sentences_are_found(tmp_path: Path, name: str) -> None:
    rows = enumerate(["Der", "rote", "Fuchs", "sah", "12", "Hühner", ",", "gestern", "."], start=1)
    block = "# text = Das ist der Satz so wie er gedruckt war\n" + "\n".join(f"{number}\t{word}\tx" for number, word in rows)
    (tmp_path / "a.conllu.xz").write_bytes(lzma.compress(f"{block}\n\n1\tJa\tx\n".encode()))
    (tmp_path / "b.txt").write_text("我 O\n" + "\n".join(f"{character} O" for character in "想买一张去北京的车票") + "\n")
    (tmp_path / "nli.tsv").write_text("de\tein Mann geht heute früh zur Arbeit\tNiemand geht\tneutral\n")
    files = sorted(tmp_path.iterdir())

    def found(text: str) -> list[str]:
        return [one.partition(" ")[2] for one in copied({name: text}, files).get(name, [])]

    assert found('{"words":["Der","rote","Fuchs","sah","12","Hühner","gestern"]}') == ["der rote fuchs sah hühner gestern"]
    assert found("das ist der Satz so") == found("Der rote Fuchs sah gestern Hühner, ja") == []
    assert found("Das ist der Satz so wie") == ["das ist der satz so wie"]
    assert found("ein Mann geht heute früh zur") == ["ein mann geht heute früh zur"]
    assert found("früh zur Arbeit niemand geht neutral") == [], "runs end with the sentence"
    assert found('["想买一张","去北京的车票"]') == ["想 买 一 张 去 北 京 的 车 票"]
    assert found(unescaped(r'["\u60f3买一张","去北京的车票"]')) == ["想 买 一 张 去 北 京 的 车 票"]


def test_one_word_again_and_again_is_no_sentence() -> None:
    assert not runs(Vocabulary().read("b a b a b a b c a b c"))
    assert len(runs(Vocabulary().read("a b c d a b c"))) == 2


def test_one_in_so_many_is_kept() -> None:
    assert not {one % SHARE for one in kept_runs()} - {0}
