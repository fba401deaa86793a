"""How a user names data."""

from dataclasses import replace
from pathlib import Path

import pytest

from polyhead.core.errors import DataFormatError, SettingError, UnknownNameError
from polyhead.data.corpus_table import SPLITS
from polyhead.data.layouts import parse_layout
from polyhead.data.references import DataReader, DataReference, one_word_choice
from polyhead.data.sampling import sample
from polyhead.data.sentences import Dataset, Sentence
from polyhead.data.tasks import TASKS

POS, NER = TASKS["pos"], TASKS["ner"]


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("de=T", {"test": "T"}),
        ("de=D:T", {"dev": "D", "test": "T"}),
        ("en=A:D:T", {"train": "A", "dev": "D", "test": "T"}),
        ("en=A::", {"train": "A"}),
        ("en=A::T", {"train": "A", "test": "T"}),
    ],
)
def test_files_are_test_dev_test_or_train_dev_test(text: str, files: dict[str, str]) -> None:
    reference = DataReference.parse(text)
    assert reference.files == {split: Path(path) for split, path in files.items()}
    assert reference.name == text[:2]
    assert all(reference.has(split) == (split in files) for split in ("train", "dev", "test"))


@pytest.mark.parametrize("text", ["", "de=", "=x", "de=a:b:c:d", "de=::", "en_ewt", "ud/en_ewt@word", "de@x=T"])
def test_what_is_no_reference_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(SettingError, match="expected"):
        DataReference.parse(text)


def test_a_bare_path_is_refused_with_the_form_it_needs(tmp_path: Path) -> None:
    path = tmp_path / "x.conllu"
    path.write_text("")
    with pytest.raises(SettingError, match="LANGUAGE=TEST"):
        DataReference.parse(str(path))


def test_words_are_chosen_by_suffix_and_once() -> None:
    assert DataReference.parse("ud/en_ewt").words == "surface"
    assert DataReference.parse("ud/en_ewt@words").words == "syntactic"
    assert DataReference.parse("en@words=T").words == "syntactic"
    assert one_word_choice([DataReference.parse("ud/en_ewt@words"), DataReference.parse("de@words=T")]) == "syntactic"
    with pytest.raises(SettingError, match="'ud/en_ewt@words' and 'ud/de_gsd'"):
        one_word_choice([DataReference.parse("ud/en_ewt@words"), DataReference.parse("ud/de_gsd")])


def test_files_are_opened_as_the_task_reads_them(tmp_path: Path) -> None:
    rows = "1-2\tzum\t_\t_\t_\t_\t_\t_\t_\t_\n1\tzu\t_\tADP\t_\t_\t3\t_\t_\t_\n2\tdem\t_\tDET\t_\t_\t3\t_\t_\t_\n"
    (tmp_path / "t.conllu").write_text(rows + "3\tHaus\t_\tNOUN\t_\t_\t0\t_\t_\t_\n\n")
    surface = DataReader(task=POS).open(DataReference.parse(f"de={tmp_path}/t.conllu"), "test")
    assert [s.words for s in surface.sentences] == [("zum", "Haus")]
    assert (surface.name, surface.language, surface.split) == (f"de={tmp_path}/t.conllu", "de", "test")
    words = DataReader(task=POS).open(DataReference.parse(f"de@words={tmp_path}/t.conllu"), "test")
    assert [s.words for s in words.sentences] == [("zu", "dem", "Haus")]
    (tmp_path / "t.txt").write_text("x Ann NEP-\n\nx Ann I-NEP\n".replace("NEP-", "I-NEP"))
    reader = DataReader(task=NER, columns="space:token=2,tag=3", scheme="iob1")
    ner = reader.open(DataReference.parse(f"hi={tmp_path}/t.txt"), "test")
    assert [s.labels for s in ner.sentences] == [("B-NEP",), ("B-NEP",)]


def test_a_split_that_is_not_there_says_what_to_write() -> None:
    with pytest.raises(SettingError, match="no train file; its files are read as dev, test; write LANGUAGE=TRAIN:DEV:TEST"):
        DataReader(task=POS).open(DataReference.parse("de=D:T"), "train")
    with pytest.raises(SettingError, match="no dev file; its files are read as train"):
        DataReader(task=POS).open(DataReference.parse("de=T::"), "dev")


def test_a_single_file_is_the_split_that_is_needed(tmp_path: Path) -> None:
    (tmp_path / "x.conllu").write_text("1\tx\t_\tNOUN\t_\t_\t0\t_\t_\t_\n\n")
    for role in ("source", "target"):
        reference = DataReference.parse(f"de={tmp_path}/x.conllu", role)
        for split in SPLITS:
            assert DataReader(task=POS).open(reference, split).split == split
        assert [split for split in SPLITS if reference.has(split)] == ["train" if role == "source" else "test"]


def test_a_corpus_needs_a_folder_and_the_right_task(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="--data FOLDER"):
        DataReader(task=POS).open(DataReference.parse("ud/en_ewt"), "dev")
    with pytest.raises(SettingError, match="labelled for the task pos, not ner"):
        DataReader(task=NER, root=tmp_path).open(DataReference.parse("ud/en_ewt"), "dev")
    with pytest.raises(UnknownNameError, match="ud/xx_none"):
        DataReader(task=POS, root=tmp_path).open(DataReference.parse("ud/xx_none"), "dev")


def test_a_scheme_is_declared_once() -> None:
    assert parse_layout("tab:token=1,tag=2", scheme="BIO").scheme == "iob2"
    with pytest.raises(SettingError, match="declare scheme bioes, but --scheme is iob1"):
        parse_layout("tab:token=1,tag=2,scheme=bioes", scheme="iob1")


def test_a_sample_is_seeded_and_in_file_order() -> None:
    data = Dataset("x", "en", "train", tuple(Sentence((str(i),), (None,), "en", f"x:{i}") for i in range(50)))
    drawn = sample(data, 20, seed=1)
    numbers = [int(s.words[0]) for s in drawn.sentences]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == 20
    assert sample(data, 20, seed=1) == drawn
    assert sample(data, 20, seed=2) != drawn


def test_a_split_without_labels_is_refused_unless_none_are_needed(tmp_path: Path) -> None:
    (tmp_path / "t.conllu").write_text("1\tx\t_\t_\t_\t_\t0\t_\t_\t_\n\n")
    reference = DataReference.parse(f"de={tmp_path}/t.conllu")
    with pytest.raises(DataFormatError, match=r"t\.conllu:1: no word of the test split has a label"):
        DataReader(task=POS).open(reference, "test")
    assert len(DataReader(task=POS).open(reference, "test", labelled=False).sentences) == 1


def test_own_files_keep_their_types_and_corpora_that_declare_it_merge_them(tmp_path):
    rows = "Ann B-PER\nMay B-DATE\nrose B-FOOD\n"
    folder = tmp_path / "ner/swa_MasakhaNER"
    folder.mkdir(parents=True)
    (folder / "dev.txt").write_text(rows.replace("B-FOOD", "O"))
    (tmp_path / "own.txt").write_text(rows)

    def labels(reader: DataReader, text: str, split: str) -> tuple[str | None, ...]:
        return reader.open(DataReference.parse(text), split).sentences[0].labels

    own, known = f"en={tmp_path}/own.txt", "masakhaner/swa"
    reader = DataReader(task=NER, root=tmp_path, scheme="iob2")
    assert labels(reader, own, "test") == ("B-PER", "B-DATE", "B-FOOD")
    assert labels(reader, known, "dev") == ("B-PER", "B-MISC", "O")
    assert reader.open(DataReference.parse(known), "dev").merged == {"span of type DATE read as MISC": 1}
    assert labels(replace(reader, kept=frozenset({"DATE"})), known, "dev") == ("B-PER", "B-DATE", "O")
    assert labels(replace(reader, merge=True), own, "test") == ("B-PER", "B-MISC", "B-MISC")
