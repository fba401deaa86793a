"""The corpora: parallel, disjoint, the same on every machine, and equal to their files."""

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyhead.core.errors import DataFormatError, SettingError, UnknownNameError
from polyhead.data.columns import read_columns
from polyhead.data.conllu import read_conllu
from polyhead.data.corpora import CORPORA, open_corpus
from polyhead.data.corpus_table import SPLITS
from polyhead.data.phrases import files
from polyhead.data.phrases.files import SIZES, SUFFIXES, checksums, phrase_dataset, running_text, split_phrases, write_phrases
from polyhead.data.phrases.generate import PARTS, draws, ownership, phrases, pretraining
from polyhead.data.phrases.grammar import grammar
from polyhead.data.phrases.inventory import inventory
from polyhead.data.phrases.realise import NOTHING, realised
from polyhead.data.references import DataReader, DataReference
from polyhead.data.tasks import TASKS
from polyhead.data.textfile import TextFile

KNOWN = inventory()
SLOTS = {role.slot for frame in KNOWN.frames.values() for role in frame.roles if role.slot}
LANGUAGES = KNOWN.languages


def first(part, n, seed=42):
    return [draw for draw, _ in zip(draws(part, seed=seed), range(n), strict=False)]


def test_the_inventory_is_as_wide_as_promised() -> None:
    assert len(LANGUAGES) == 9
    assert len(KNOWN.frames) >= 40
    assert len({frame.intent for frame in KNOWN.frames.values()}) >= 10
    assert len(SLOTS) >= 12
    assert {len(KNOWN.fillers[kind]) >= 25 for kind in ("city", "person", "dish")} == {True}
    assert sum(len(KNOWN.fillers[kind]) for kind in ("airline", "company", "team", "restaurant")) >= 25
    assert SIZES["train"] >= 2000


@pytest.mark.parametrize("language", LANGUAGES)
def test_made_files_have_the_checksums_of_the_package(language: str, tmp_path: Path) -> None:
    written = write_phrases(tmp_path, languages=[language])
    assert len(written) == 9
    assert written == {file: digest for file, digest in checksums().items() if file.startswith(f"{language}/")}


def test_changed_tables_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "checksums", lambda: {"nl/dev.conllu": "0" * 64})
    with pytest.raises(DataFormatError, match=r"phrases/nl/dev.conllu: sha256 .*install polyhead again"):
        phrase_dataset.__wrapped__("phrases/nl", "nl", "pos", "dev")


@pytest.mark.parametrize("task", ["pos", "ner", "slots"])
@pytest.mark.parametrize("language", ["en", "he", "zh"])
def test_a_file_reads_to_what_is_made_in_memory(language: str, task: str, tmp_path: Path) -> None:
    write_phrases(tmp_path, languages=[language])
    name = f"phrases{'' if task == 'pos' else '-' + task}/{language}"
    made = open_corpus(name, "dev")
    path = tmp_path / language / f"dev{SUFFIXES[task]}"
    if task == "pos":
        read = list(read_conllu(TextFile(path, made.language)))
    else:
        read = list(read_columns(TextFile(path, made.language), CORPORA[name].layout))
    assert [(s.words, s.labels) for s in read] == [(s.words, s.labels) for s in made.sentences]
    assert [s.source.rpartition(":")[2] for s in read] == [s.source.rpartition(":")[2] for s in made.sentences]


def test_corpora_need_no_folder_and_fit_one_task() -> None:
    reader = DataReader(task=TASKS["ner"])
    assert len(reader.open(DataReference.parse("phrases-ner/tr"), "dev").sentences) == SIZES["dev"]
    with pytest.raises(SettingError, match="labelled for the task pos, not ner"):
        reader.open(DataReference.parse("phrases/tr"), "dev")
    with pytest.raises(SettingError, match="give --data FOLDER"):
        open_corpus("ud/en_ewt", "dev")
    with pytest.raises(UnknownNameError, match="known are en, de"):
        phrases("fr", "train", 1)


def test_phrases_have_no_syntactic_words() -> None:
    with pytest.raises(SettingError, match=r"phrases/de: has surface words only; leave out @words"):
        DataReader(task=TASKS["pos"]).open(DataReference.parse("phrases/de@words"), "dev")


def test_another_task_is_told_where_its_labels_are() -> None:
    with pytest.raises(SettingError, match=r"for ner its language has phrases-ner/en, uner/en_ewt, .*; or give --task pos$"):
        DataReader(task=TASKS["ner"]).open(DataReference.parse("phrases/en"), "dev")
    with pytest.raises(SettingError, match=r"for slots its language has phrases-slots/he, massive/he-IL; or give --task ner$"):
        DataReader(task=TASKS["slots"]).open(DataReference.parse("phrases-ner/he"), "dev")


def test_all_rows_of_the_table_open() -> None:
    for name, row in CORPORA.items():
        if row.made:
            sizes = {split: len(open_corpus(name, split).sentences) for split in SPLITS}
            assert sizes == dict(SIZES), name


def test_the_same_on_another_hash_seed() -> None:
    made = "[p.words for p in phrases('tr', 'test', 50)]"
    code = f"from polyhead.data.phrases.generate import phrases; import json; print(json.dumps({made}))"
    source = str(Path(files.__file__).parents[3])
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": source}
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
        assert json.loads(run.stdout) == [list(phrase.words) for phrase in phrases("tr", "test", 50)]


@pytest.mark.parametrize("split", SPLITS)
def test_languages_are_parallel(split: str) -> None:
    kinds = {
        language: [
            sorted(tag for tag in phrase.slots + phrase.entities if tag.startswith("B-"))
            for phrase in split_phrases(language, split)
        ]
        for language in LANGUAGES
    }
    assert all(found == kinds["en"] for found in kinds.values())


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32))
def test_shares_hold_under_any_seed(seed: int) -> None:
    owners, test = ownership(seed), first("test", 600, seed)
    frames = {draw.frame.name for draw in test}
    fillers = {(role.filler_class, draw.fillers[role.name]) for draw in test for role in draw.frame.roles}
    assert sum(owners.frames[name] == "test" for name in frames) >= 0.2 * len(frames)
    assert sum(owners.fillers[kind][name] == "test" for kind, name in fillers) >= 0.25 * len(fillers)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32))
def test_no_slot_is_kept_from_train_under_any_seed(seed: int) -> None:
    owners = ownership(seed).frames
    shown = {role.slot for name, frame in KNOWN.frames.items() if owners[name] == "train" for role in frame.roles if role.slot}
    assert shown == SLOTS
    assert sum(owner == "test" for owner in owners.values()) >= 0.2 * len(owners)


def test_train_shows_every_label() -> None:
    def shown(split: str, task: str) -> set[str]:
        return {label.split("-")[-1] for phrase in split_phrases("en", split) for label in files.labels_of(phrase, task)}

    assert all(shown("dev", task) | shown("test", task) <= shown("train", task) for task in SUFFIXES)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_choice_is_a_labelled_sentence_in_every_language(data: st.DataObject) -> None:
    frame = data.draw(st.sampled_from(list(KNOWN.frames.values())))
    fillers = {role.name: data.draw(st.sampled_from(KNOWN.fillers[role.filler_class])) for role in frame.roles}
    fillers["opener"] = data.draw(st.sampled_from([NOTHING, *KNOWN.fillers["opener"]]))
    for language in LANGUAGES:
        phrase = realised(frame, fillers, grammar(language))
        text = running_text(phrase.words, grammar(language))
        assert text.replace(" ", "") == "".join(phrase.words)
        assert not any(set(word) & set(" \t\n[]{}/;|") for word in phrase.words)
        assert len(phrase.words) == len(phrase.upos) == len(phrase.entities) == len(phrase.slots)
        for tags in (phrase.entities, phrase.slots):
            assert all(tag[0] != "I" or before[2:] == tag[2:] for before, tag in pairwise(("O", *tags)))
        assert phrase.upos[-1] == "PUNCT"
        assert not text[0].islower()


def test_shares_of_the_files() -> None:
    train, test = first("train", SIZES["train"]), first("test", SIZES["test"])
    seen_frames, frames = ({draw.frame.name for draw in part} for part in (train, test))
    assert len(frames - seen_frames) >= 0.2 * len(frames)

    def used(part):
        return {(role.filler_class, draw.fillers[role.name]) for draw in part for role in draw.frame.roles}

    assert len(used(test) - used(train)) >= 0.3 * len(used(test))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_sentence_is_in_two_parts(language: str) -> None:
    parts = {split: [phrase.words for phrase in split_phrases(language, split)] for split in SPLITS}
    parts["pretrain"] = [phrase.words for (phrase,) in pretraining([language], 4000)]
    for split in SPLITS:
        assert len(set(parts[split])) == len(parts[split])
        for other in PARTS:
            if other != split:
                assert not set(parts[split]) & set(parts[other])


def test_pretraining_streams_translations() -> None:
    stream = pretraining(["en", "ja", "ar"], 10**9)
    pairs = [next(stream) for _ in range(3)]
    assert pairs == list(pretraining(["en", "ja", "ar"], 3))
    assert [pair[0] for pair in pairs] == [pair[0] for pair in pretraining(["en"], 3)]
    assert all(len(pair) == 3 for pair in pairs)


def test_words_need_context() -> None:
    """Some words have several parts of speech, entities and slots; else attention would not matter."""
    tags: dict[str, set[str]] = {}
    entities: dict[str, set[str]] = {}
    for phrase in split_phrases("en", "train") + split_phrases("en", "test"):
        for word, tag, entity in zip(phrase.words, phrase.upos, phrase.entities, strict=True):
            tags.setdefault(word.lower(), set()).add(tag)
            entities.setdefault(word, set()).add(entity[2:])
    assert {word for word, found in tags.items() if len(found) > 1} >= {"have", "to", "book", "like"}
    assert sum(len(found - {""}) > 1 for found in entities.values()) >= 8


def test_more_than_there_is_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyhead.data.phrases.generate._TRIES", 0.05)  # draws without a new sentence until it gives up
    with pytest.raises(SettingError, match="ask for fewer"):
        phrases("en", "dev", 10**6)


def test_running_text_has_the_spaces_of_the_language() -> None:
    words = split_phrases("es", "dev")[0].words
    assert " ." not in running_text(words, grammar("es"))
    assert " " not in running_text(split_phrases("ja", "dev")[0].words, grammar("ja"))
