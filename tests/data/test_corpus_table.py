"""Every corpus file reads to the counts that the data folder's README gives (token counts it leaves out are None)."""

import numpy as np
import pytest

from polyhead.data.corpora import CORPORA, open_corpus, row_groups
from polyhead.data.schemes import INSIDE_STARTS

SPLITS = ("train", "dev", "test")

COUNTS = {
    "ud/en_ewt": ((12543, 202141), (2002, 24820), (2077, 24764)),
    "ud/de_gsd": ((13814, None), (799, 12322), (977, 16224)),
    "ud/de_hdt": ((18434, 319513), None, None),
    "ud/nl_alpino": ((12264, 185883), (718, 11541), (596, 11046)),
    "ud/ar_padt": ((6075, 191869), (909, 25986), (680, 24201)),
    "ud/he_htb": ((5241, 98348), (484, 8358), (491, 8829)),
    "ud/zh_gsdsimp": ((3997, 98616), (500, 12663), (500, 12012)),
    "ud/ja_gsd": ((7027, 167482), (501, 12089), (543, 13034)),
    "ud/ur_udtb": ((4043, 108690), (552, 14581), (535, 14806)),
    "ud/fa_seraji": ((4798, 119945), (599, 15755), (600, 15925)),
    "uner/en_ewt": ((12543, 204579), (2001, 25149), (2077, 25097)),
    "uner/zh_gsdsimp": ((3997, 98616), (500, 12663), (500, 12012)),
    "uner/pt_bosque": ((7018, 171776), (1172, 28447), (1167, 27604)),
    "uner/sv_talbanken": ((4303, 66646), (504, 9797), (1219, 20377)),
    "uner/da_ddt": ((4383, 80378), (564, 10332), (565, 10023)),
    "uner/en_pud": (None, None, (1000, None)),
    "uner/de_pud": (None, None, (1000, None)),
    "uner/zh_pud": (None, None, (1000, None)),
    "uner/pt_pud": (None, None, (1000, None)),
    "uner/tl_trg": (None, None, (128, 734)),
    "wikineural/en": ((11590, 267839), None, (11597, None)),
    "wikineural/de": ((12330, 214562), None, (12372, None)),
    "wikineural/nl": ((10460, 191788), None, (10547, None)),
    "wikineural/es": ((9540, 222988), None, (9618, None)),
    "masakhaner/amh": ((1750, None), (250, None), (500, None)),
    "masakhaner/hau": ((1912, None), (276, None), (552, None)),
    "masakhaner/ibo": ((2235, None), (320, None), (638, None)),
    "masakhaner/kin": ((2116, None), (302, None), (605, None)),
    "masakhaner/swa": ((2109, None), (300, None), (604, None)),
    "ilner/hi": ((11076, None), (1389, None), (1388, None)),
    "ilner/ur": ((8720, None), (1094, None), (1096, None)),
    "aqmar/ar": ((1328, 36050), (710, 19519), (605, 18284)),
    "xsid/en": ((43605, 341184), (300, None), (500, None)),
    "xsid/ja": (None, (150, None), (250, None)),
    "germeval/de": ((24000, None), (2200, 41653), (5100, 96499)),
    "stockmark/ja": ((5343, None), None, None),
    "facebook/en": ((30521, None), (4181, None), (8621, None)),
    "facebook/es": ((3617, None), (1983, None), (3043, None)),
    "xnli/en": ((19863, None), (2490, None), (5010, None)),
    **{
        f"xnli/{code}": (None, (2490, None), (5010, None))
        for code in ["ar", "bg", "de", "el", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"]
    },
    **{f"xsid/{code}": (None, (300, None), (500, None)) for code in ["ar", "da", "de", "id", "it", "kk", "nl", "sr", "tr", "zh"]},
}


# Splits that their release has and the data folder has not: they were too large for it, or could not be copied.
NOT_THERE = {("ud/de_gsd", "train"), ("germeval/de", "train"), ("facebook/en", "train")}
# Families of which the data folder has nothing.
# tests/phrases counts those that are made.
FETCHED = ("massive/", "wikiann/", "phrases")


def check(shared, name, split):
    data = open_corpus(name, split, root=shared / "data")
    sentences, tokens = COUNTS[name][SPLITS.index(split)]
    assert len(data.sentences) == sentences
    assert tokens in (None, data.n_words)
    assert data.repairs == CORPORA[name].quirks.get(split, {})
    assert len(data.sha256) == 64
    assert all(sentence.words for sentence in data.sentences)


def test_quirks_are_listed_by_the_splits_they_are_in():
    assert all(set(row.quirks) <= set(row.splits) for row in CORPORA.values())
    assert CORPORA["uner/da_ddt"].quirks == {"train": {INSIDE_STARTS: 6}, "test": {INSIDE_STARTS: 1}}
    assert CORPORA["wikineural/en"].quirks == {"train": {INSIDE_STARTS: 439}, "test": {INSIDE_STARTS: 559}}
    assert CORPORA["masakhaner/hau"].quirks == {"train": {INSIDE_STARTS: 1}, "test": {INSIDE_STARTS: 1}}


def test_every_corpus_has_its_counts():
    assert set(COUNTS) == {name for name in CORPORA if not name.startswith(FETCHED)}
    for name in COUNTS:
        row = CORPORA[name]
        assert {split for split, counts in zip(SPLITS, COUNTS[name], strict=True) if counts} == set(row.splits)


@pytest.mark.parametrize("name", [name for name in COUNTS if not name.startswith("wikineural") and len(CORPORA[name].splits) > 1])
def test_dev_and_test(shared, name):
    for split in CORPORA[name].splits:
        if split != "train":
            check(shared, name, split)


@pytest.mark.slow
def test_large_files(shared):
    for name in COUNTS:
        for split in CORPORA[name].splits:
            if (split == "train" or name.startswith("wikineural")) and (name, split) not in NOT_THERE:
                check(shared, name, split)


@pytest.mark.parametrize(
    ("name", "split", "words"),
    [("ud/en_ewt", "dev", 25148), ("ud/de_gsd", "dev", 12486), ("ud/he_htb", "test", 12284), ("ud/fa_seraji", "dev", 15832)],
)
def test_syntactic_words(shared, name, split, words):
    data = open_corpus(f"{name}@words", split, root=shared / "data")
    assert data.n_words == words
    assert None not in {label for sentence in data.sentences for label in sentence.labels}


def test_preliminary_english_entities_are_counted_as_the_readme_does(shared):
    data = open_corpus("uner/en_ewt", "train", root=shared / "data")
    starts = [label[2:] for sentence in data.sentences for label in sentence.labels if label and label.startswith("B-")]
    assert {kind: starts.count(kind) for kind in set(starts)} == {"PER": 2873, "LOC": 2698, "ORG": 1434}


PARALLEL = [name for name, row in CORPORA.items() if row.parallel in ("xsid", "pud")]


@pytest.mark.parametrize("name", PARALLEL)
def test_declared_translations_match_by_row(shared, name):
    """Most rows have spans of the same types as the row in English; those of the row before have not."""
    english = "xsid/en" if name.startswith("xsid") else "uner/en_pud"
    own, other = (
        [
            {label[2:] for label in sentence.labels if label != "O"}
            for sentence in open_corpus(which, "test", root=shared / "data")
        ]
        for which in (name, english)
    )
    assert len(own) == len(other) or name == "xsid/ja"  # its first half
    assert np.mean([one == two for one, two in zip(own, other, strict=False)]) > 0.8
    assert np.mean([one == two for one, two in zip(own[1:], other, strict=False)]) < 0.5


def test_only_translations_share_a_label():
    parallel = {name.partition("/")[0] for name, row in CORPORA.items() if row.parallel}
    assert parallel == {"xsid", "massive", "xnli", "phrases", "phrases-ner", "phrases-slots", "uner"}
    assert [name for name, row in CORPORA.items() if row.parallel == "pud"] == [f"uner/{code}_pud" for code in ("en", "de", "pt")]
    assert len(set(row_groups({"ud/de_gsd": 500, "ud/nl_alpino": 500, "a.tsv": 500, "b.tsv": 500}).values())) == 4
