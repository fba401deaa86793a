"""Every corpus file reads to the counts that the data folder's README gives (token counts it leaves out are None)."""

import pytest

from polyhead.data.corpora import CORPORA, open_corpus

START = "I- that starts a span read as B-"
SPLITS = ("train", "dev", "test")

COUNTS = {
    "ud/en_ewt": ((12543, 202141), (2002, 24820), (2077, 24764)),
    "ud/de_gsd": (None, (799, 12322), (977, 16224)),
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
    "wikineural/en": (None, (11590, 267839), (11597, None)),
    "wikineural/de": (None, (12330, 214562), (12372, None)),
    "wikineural/nl": (None, (10460, 191788), (10547, None)),
    "wikineural/es": (None, (9540, 222988), (9618, None)),
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
    **{f"xsid/{code}": (None, (300, None), (500, None)) for code in ["ar", "da", "de", "id", "it", "kk", "nl", "sr", "tr", "zh"]},
}

# Met faults; the README names all but the empty words of xSID's Chinese files.
REPAIRS = {
    ("uner/en_ewt", "train"): {"tag B-O read as O": 540, "tag B-OTH read as O": 888, "tag I-OTH read as O": 227},
    ("uner/da_ddt", "train"): {START: 6},
    ("uner/da_ddt", "test"): {START: 1},
    ("wikineural/en", "dev"): {START: 439},
    ("wikineural/en", "test"): {START: 559},
    ("masakhaner/hau", "train"): {START: 1},
    ("masakhaner/hau", "test"): {START: 1},
    ("ilner/hi", "train"): {
        START: 68,
        "row 'O' left out: it has a tag but no word": 1,
        "tag - read as O": 79,
        "tag -NEAR read as I-NEAR": 3,
        "tag -NEL read as I-NEL": 30,
        "tag -NEN read as I-NEN": 10,
        "tag -NEO read as I-NEO": 7,
        "tag -NEP read as I-NEP": 4,
        "tag -NETI read as I-NETI": 17,
    },
    ("ilner/hi", "dev"): {
        START: 8,
        "tag - read as O": 8,
        "tag -NEL read as I-NEL": 1,
        "tag -NEN read as I-NEN": 2,
        "tag -NEO read as I-NEO": 2,
        "tag -NETI read as I-NETI": 3,
    },
    ("ilner/hi", "test"): {
        START: 6,
        "tag - read as O": 24,
        "tag -NEN read as I-NEN": 3,
        "tag -NEO read as I-NEO": 2,
        "tag -NETI read as I-NETI": 1,
    },
    ("ilner/ur", "train"): {
        START: 6,
        "tag - read as O": 5,
        "tag -NEL read as I-NEL": 4,
        "tag -NEO read as I-NEO": 1,
        "tag -NEP read as I-NEP": 2,
    },
    ("ilner/ur", "dev"): {"tag - read as O": 3},
    ("ilner/ur", "test"): {START: 1, "tag -NEL read as I-NEL": 1},
    ("xsid/en", "train"): {START: 40, "tag Orecurring_datetime read as O": 357},
    ("xsid/zh", "dev"): {"row with tag O and an empty word left out": 1},
    ("xsid/zh", "test"): {"row with tag O and an empty word left out": 6},
}


def check(shared, name, split):
    data = open_corpus(name, split, root=shared / "data")
    sentences, tokens = COUNTS[name][SPLITS.index(split)]
    assert len(data.sentences) == sentences
    assert tokens in (None, data.n_words)
    assert data.repairs == REPAIRS.get((name, split), {})
    assert len(data.sha256) == 64
    assert all(sentence.words for sentence in data.sentences)


def test_every_corpus_has_its_counts():
    assert set(COUNTS) == set(CORPORA)
    for name, row in CORPORA.items():
        assert {split for split, counts in zip(SPLITS, COUNTS[name], strict=True) if counts} == set(row.splits)


@pytest.mark.parametrize("name", [name for name in CORPORA if name != "ud/de_hdt" and not name.startswith("wikineural")])
def test_dev_and_test(shared, name):
    for split in CORPORA[name].splits:
        if split != "train":
            check(shared, name, split)


@pytest.mark.slow
def test_large_files(shared):
    for name, row in CORPORA.items():
        for split in row.splits:
            if split == "train" or name.startswith("wikineural"):
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
