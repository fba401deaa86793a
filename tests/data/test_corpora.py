import hashlib
import lzma

import pytest

from polyhead.core.errors import DataFormatError, SettingError, UnknownNameError
from polyhead.data.column_format import parse_columns
from polyhead.data.corpora import CORPORA, corpus, open_corpus, open_file
from polyhead.data.layouts import parse_layout
from polyhead.data.sampling import holdout
from polyhead.data.sentences import Dataset, Sentence
from polyhead.data.tasks import TASKS

RANGE = "1-2\tim\t_\t_\t_\t_\t_\t_\t_\t_\n1\tin\t_\tADP\t_\t_\t3\t_\t_\t_\n2\tdem\t_\tDET\t_\t_\t3\t_\t_\t_\n"
RANGE += "3\tHaus\t_\tNOUN\t_\t_\t0\t_\t_\t_\n"
SURFACE = "1\tim\t_\tDET\t_\t_\t_\t_\t_\t_\n2\tHaus\t_\tNOUN\t_\t_\t_\t_\t_\t_\n"


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "ud/UD_German-GSD"
    folder.mkdir(parents=True)
    (folder / "de_gsd-ud-dev.conllu").write_text(RANGE)
    (folder / "de_gsd-ud-test.conllu").write_text(RANGE)
    (folder / "de_gsd-ud-test.surface.conllu.xz").write_bytes(lzma.compress(SURFACE.encode()))
    return tmp_path


def test_names_of_the_table():
    names = {
        "ud": "en_ewt de_gsd de_hdt nl_alpino ar_padt he_htb zh_gsdsimp ja_gsd ur_udtb fa_seraji",
        "uner": "en_ewt zh_gsdsimp pt_bosque sv_talbanken da_ddt en_pud de_pud zh_pud pt_pud tl_trg",
        "wikineural": "en de nl es",
        "masakhaner": "amh hau ibo kin swa",
        "ilner": "hi ur",
        "aqmar": "ar",
        "xsid": "en ar da de id it ja kk nl sr tr zh",
        "germeval": "de",
        "stockmark": "ja",
        "facebook": "en es",
        "xnli": "ar bg de el en es fr hi ru sw th tr ur vi zh",
        "phrases": "en de nl es ar he zh ja tr",
        "phrases-ner": "en de nl es ar he zh ja tr",
        "phrases-slots": "en de nl es ar he zh ja tr",
    }
    listed = [name for name in CORPORA if not name.startswith(("massive/", "wikiann/"))]
    assert sorted(listed) == sorted(f"{family}/{name}" for family, row in names.items() for name in row.split())
    assert [sum(name.startswith(family) for name in CORPORA) for family in ("massive/", "wikiann/")] == [52, 40]
    assert {row.task for row in CORPORA.values()} <= set(TASKS)


def test_language_codes_are_bcp47():
    names = [f"masakhaner/{code}" for code in ("amh", "hau", "ibo", "kin", "swa")]
    assert [corpus(name).language for name in names] == ["am", "ha", "ig", "rw", "sw"]
    assert [corpus(name).language for name in ("ud/zh_gsdsimp", "uner/zh_pud", "xsid/sr")] == ["zh-Hans", "zh-Hant", "sr-Latn"]
    assert [corpus(name).language for name in ("massive/zh-TW", "massive/de-DE", "wikiann/ur")] == ["zh-Hant", "de", "ur"]


def test_words_of_a_treebank(root):
    by_rule = open_corpus("ud/de_gsd", "dev", root=root)
    assert (by_rule.sentences[0].words, by_rule.sentences[0].labels) == (("im", "Haus"), ("ADP", "NOUN"))
    beside = open_corpus("ud/de_gsd", "test", root=root)
    assert (beside.sentences[0].words, beside.sentences[0].labels) == (("im", "Haus"), ("DET", "NOUN"))
    assert beside.sentences[0].source == f"{root}/ud/UD_German-GSD/de_gsd-ud-test.surface.conllu.xz:1"
    assert beside.sha256 == hashlib.sha256(SURFACE.encode()).hexdigest()
    for name, options in (("ud/de_gsd@words", {}), ("ud/de_gsd", {"words": "syntactic"})):
        syntactic = open_corpus(name, "test", root=root, **options)
        assert syntactic.sentences[0].words == ("in", "dem", "Haus")
        assert (syntactic.name, syntactic.language, syntactic.split) == ("ud/de_gsd@words", "de", "test")


def test_syntactic_words_are_not_in_a_surface_file(root):
    (root / "ud/UD_German-GSD/de_gsd-ud-test.conllu").unlink()
    with pytest.raises(DataFormatError, match=r"de_gsd-ud-test\.conllu: no such file; .* only surface tokens are at hand"):
        open_corpus("ud/de_gsd@words", "test", root=root)


def test_absent_splits_say_what_to_do(root):
    for name, split, advice in (
        ("ud/de_hdt", "dev", "it has train; .* take dev and test from ud/de_gsd"),
        ("wikineural/de", "dev", "it has train, test; its released `val` file serves as training data"),
        ("xsid/de", "train", "train on xsid/en"),
        ("uner/en_pud", "dev", "it has test; test only"),
    ):
        assert split not in corpus(name).splits
        with pytest.raises(UnknownNameError, match=f"corpus {name} has no {split} split; .*{advice}"):
            open_corpus(name, split, root=root)


def test_absent_files_and_unknown_names(root):
    with pytest.raises(DataFormatError, match=r"en_ewt-ud-dev.conllu: no such file; expected the dev file .* --data"):
        open_corpus("ud/en_ewt", "dev", root=root)
    with pytest.raises(UnknownNameError, match="corpus 'ud/en_ewd': no such name; did you mean ud/en_ewt"):
        open_corpus("ud/en_ewd", "dev", root=root)
    with pytest.raises(UnknownNameError, match="corpus 'ud/en_ewt@word'"):
        corpus("ud/en_ewt@word")
    with pytest.raises(UnknownNameError, match="only ud/ names take a suffix"):
        corpus("aqmar/ar@words")


def test_files_are_not_corpora_and_the_call_that_opens_them_is_named() -> None:
    with pytest.raises(UnknownNameError, match=r"open with open_file\('a.conllu', task, 'dev', language='en'\)"):
        open_corpus("en=a.conllu", "dev")


def test_wikineural_trains_on_its_released_val_file_by_name(tmp_path):
    folder = tmp_path / "ner/de_WikiNEuRal"
    folder.mkdir(parents=True)
    (folder / "val.conllu").write_text("".join(f"0\tAnn{i}\tB-PER\n1\tgeht\tO\n\n" for i in range(20)))
    data = open_corpus("wikineural/de", "train", root=tmp_path)
    assert (data.split, len(data.sentences), data.sentences[0].labels) == ("train", 20, ("B-PER", "O"))
    assert "dev" not in corpus("wikineural/de").splits, "else no tenth is held out, and dev is train"
    train, dev = holdout(data, seed=42)
    assert not {s.source for s in train.sentences} & {s.source for s in dev.sentences}


def test_known_faults_are_counted_and_refused_when_strict(tmp_path):
    folder = tmp_path / "ner/hi_IL-NER"
    folder.mkdir(parents=True)
    (folder / "Hindi-dev.txt").write_text("a\tB-NEP\nb\t-NEP\nO\nc\t-NETI\nd\t-\n")
    data = open_corpus("ilner/hi", "dev", root=tmp_path)
    assert data.sentences[0].labels == ("B-PER", "I-PER", "B-MISC", "O")
    assert data.repairs == {
        "I- that starts a span read as B-": 1,
        "row 'O' left out: it has a tag but no word": 1,
        "tag - read as O": 1,
        "tag -NEP read as I-NEP": 1,
        "tag -NETI read as I-NETI": 1,
    }
    assert open_corpus("ilner/hi", "dev", root=tmp_path, merge=False).sentences[0].labels[2] == "B-NETI"
    with pytest.raises(DataFormatError, match=r"Hindi-dev.txt:2: tag -NEP read as I-NEP; expected .* \(strict"):
        open_corpus("ilner/hi", "dev", root=tmp_path, strict=True)
    (folder / "Hindi-dev.txt").write_text("a\tB-NEP\nb\t-NEX\n")
    with pytest.raises(DataFormatError, match=r"Hindi-dev\.txt:2: tag '-NEX'"):
        open_corpus("ilner/hi", "dev", root=tmp_path)


def test_user_files_for_tags(tmp_path):
    pos = TASKS["pos"]
    (tmp_path / "a.conllu").write_text(RANGE)
    (tmp_path / "a.tsv").write_text("im\tADP\nHaus\tNOUN\n")
    (tmp_path / "b.txt").write_text("im ADP\nHaus NOMEN\n")
    for name in ("a.conllu", "a.tsv"):
        data = open_file(tmp_path / name, pos, "test", language="de")
        assert (data.sentences[0].words, data.sentences[0].labels) == (("im", "Haus"), ("ADP", "NOUN"))
        assert (data.language, data.split, data.name) == ("de", "test", str(tmp_path / name))
    with pytest.raises(DataFormatError, match=r"b\.txt:2: tag 'NOMEN'; expected one of ADJ"):
        open_file(tmp_path / "b.txt", pos, "test", language="de")
    with pytest.raises(SettingError, match="scheme 'iob2': task pos has no spans"):
        open_file(tmp_path / "a.tsv", pos, "test", language="de", scheme="iob2")


def test_user_files_for_spans_declare_their_scheme(tmp_path):
    ner = TASKS["ner"]
    path = tmp_path / "a.conll"
    path.write_text("Ann NNP I-PER\nBo NNP I-DATE\n")
    with pytest.raises(SettingError, match=r"task ner needs the scheme of its tags: give --scheme .* iob2, iob1"):
        open_file(path, ner, "train", language="en")
    assert open_file(path, ner, "train", language="en", scheme="iob1").sentences[0].labels == ("B-PER", "B-DATE")
    columns = parse_columns("space:token=1,tag=3,scheme=io")
    data = open_file(path, ner, "train", language="en", columns=columns)
    assert data.sentences[0].labels == ("B-PER", "B-DATE")
    asked = "in all 2 of 2 spans: is the scheme iob1?"
    assert open_file(path, ner, "train", language="en", scheme="bio").repairs == {f"I- that starts a span read as B-, {asked}": 2}


def test_holdout_is_seeded_disjoint_and_in_file_order():
    data = Dataset("x", "en", "train", tuple(Sentence((str(i),), ("X",), "en", f"x:{i}") for i in range(100)), sha256="h")
    train, dev = holdout(data, seed=42)
    assert (train.split, dev.split, len(dev.sentences), dev.sha256) == ("train", "dev", 10, "h")
    assert sorted(train.sentences + dev.sentences, key=lambda s: int(s.words[0])) == list(data.sentences)
    numbers = [int(s.words[0]) for s in dev.sentences]
    assert numbers == sorted(numbers)
    assert holdout(data, seed=42)[1] == dev
    assert holdout(data, seed=43)[1] != dev
    assert len(holdout(data, seed=1, share=0.999)[0].sentences) == 1
    for share in (0.0, 1.0, -1.0):
        with pytest.raises(SettingError, match="share"):
            holdout(data, seed=1, share=share)
    with pytest.raises(SettingError, match="at least 2"):
        holdout(Dataset("x", "en", "train", data.sentences[:1]), seed=1)


def test_the_released_file_is_read_where_it_lies_beside_its_stand_in(tmp_path):
    folder = tmp_path / "ner/en_UNER-EWT"
    folder.mkdir(parents=True)
    (folder / "en_ewt-ud-train.prelim-2022-12.iob2").write_text("1\tAnn\tB-OTH\t-\tx\n")
    assert open_corpus("uner/en_ewt", "train", root=tmp_path).repairs == {"tag B-OTH read as O": 1}
    (folder / "en_ewt-ud-train.iob2").write_text("1\tAnn\tB-PER\t-\tx\n")
    assert open_corpus("uner/en_ewt", "train", root=tmp_path).sentences[0].labels == ("B-PER",)


def test_a_file_that_is_not_there_names_the_command_that_fetches_it(tmp_path):
    with pytest.raises(
        DataFormatError, match=r"de_gsd-ud-train.*polyhead data get ud/de_gsd --data .*; or train German on ud/de_hdt"
    ):
        open_corpus("ud/de_gsd", "train", root=tmp_path)


def test_a_file_that_no_command_fetches_is_put_there(tmp_path):
    with pytest.raises(DataFormatError, match=r"nli/de\.test\.tsv.*check --data, or put it there: polyhead does not fetch it$"):
        open_corpus("xnli/de", "test", root=tmp_path)


def test_germeval_keeps_names_and_leaves_out_derived_words_and_parts(tmp_path):
    folder = tmp_path / "ner/de_GermEval2014"
    folder.mkdir(parents=True)
    rows = [
        "#\thttp://x\t[2010]",
        "1\tBonn\tB-LOC\tO",
        "2\tdeutsch\tB-LOCderiv\tO",
        "3\tBonn-weit\tB-LOCpart\tO",
        "4\tEcce\tB-OTH\tO\t",
    ]
    (folder / "NER-de-test.tsv").write_text("\n".join(rows) + "\n")
    data = open_corpus("germeval/de", "test", root=tmp_path)
    assert data.sentences[0].labels == ("B-LOC", "O", "O", "B-MISC")
    assert data.repairs == CORPORA["germeval/de"].quirks["test"]


def test_layouts_that_hold_spans_are_for_span_tasks(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text("id\tutterance\tslot_labels\tintent\n1\tto Bonn\tO B-city\tx\n")
    layout = parse_layout("multiatis", scheme=None)
    assert open_file(path, TASKS["slots"], "test", language="de", columns=layout).sentences[0].labels == ("O", "B-city")
    with pytest.raises(SettingError, match=r"a\.tsv: the layout holds spans, but task pos has none; declare columns"):
        open_file(path, TASKS["pos"], "test", language="de", columns=layout)
