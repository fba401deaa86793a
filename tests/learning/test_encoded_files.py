"""Encoded text on disk equals what the encoder makes, is named by its content, and is made again if it is damaged."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from polyhead.data.corpora import open_corpus
from polyhead.data.labels import LabelSet
from polyhead.data.sampling import sample
from polyhead.data.sentences import Sentence
from polyhead.data.tasks import TASKS
from polyhead.learning.encoded import Encoded, Window
from polyhead.learning.encoded_files import EncodedFiles
from polyhead.learning.text_encoder import TextEncoder
from polyhead.models.loading import load_tokenizer

DEV = sample(open_corpus("phrases/en", "dev"), 12, seed=1)


@pytest.fixture
def encoder() -> TextEncoder:
    """One with windows so short that sentences need several."""
    labels = LabelSet(TASKS["pos"].labels)
    return TextEncoder(tokenizer=load_tokenizer("polyhead/tiny"), labels=labels, anchor="text", max_length=8, model_limit=None)


def same(one: Encoded, other: Encoded) -> bool:
    """Whether every attribute is equal, of windows too."""

    def plain(window: Window) -> list[object]:
        values = [getattr(window, field.name) for field in fields(window)]
        return [(value.tolist(), value.dtype) if isinstance(value, np.ndarray) else value for value in values]

    names = [field.name for field in fields(one) if field.name != "windows"]
    return all(getattr(one, name) == getattr(other, name) for name in names) and list(map(plain, one.windows)) == list(
        map(plain, other.windows)
    )


def test_what_is_read_is_what_was_encoded(encoder: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = EncodedFiles(tmp_path, version=1).labelled(encoder, DEV, unknown="ignore")
    assert made.encoded.counts.windowed_sentences
    monkeypatch.setattr(TextEncoder, "labelled", None)  # whatever is not on disk now fails
    found = EncodedFiles(tmp_path, version=1).labelled(encoder, DEV, unknown="ignore")
    assert same(found.encoded, made.encoded)
    assert found.gold == made.gold


def test_pairs_of_texts_are_kept_too(encoder: TextEncoder, tmp_path: Path) -> None:
    pairs = [Sentence(("a", "b"), ("X",), "en", f"f:{i}", ("a mad dog", "it runs")) for i in range(3)]
    files, data = EncodedFiles(tmp_path, version=1), replace(DEV, sentences=tuple(pairs))
    first = files.labelled(encoder, data, unknown="ignore")
    assert first.encoded.windows[0].between != (0, 0)
    assert same(files.labelled(encoder, data, unknown="ignore").encoded, first.encoded)
    other = tuple(replace(one, texts=("a mad dog", "it sleeps")) for one in pairs)
    files.labelled(encoder, replace(data, sentences=other), unknown="ignore")
    assert len(list(tmp_path.iterdir())) == 2


def test_no_sentence_and_no_window_are_kept_too(encoder: TextEncoder, tmp_path: Path) -> None:
    files, empty = EncodedFiles(tmp_path, version=1), replace(DEV, sentences=())
    first = files.labelled(encoder, empty, unknown="ignore")
    assert same(files.labelled(encoder, empty, unknown="ignore").encoded, first.encoded)


def test_a_file_is_named_by_text_labels_and_settings_but_not_by_place(encoder: TextEncoder, tmp_path: Path) -> None:
    files, first = EncodedFiles(tmp_path, version=1), DEV.sentences[0]
    files.labelled(encoder, DEV, unknown="ignore")
    moved = replace(DEV, name="other", sentences=tuple(replace(one, source="/elsewhere:1") for one in DEV.sentences))
    files.labelled(encoder, moved, unknown="ignore")
    assert len(list(tmp_path.iterdir())) == 1
    files.labelled(encoder, replace(DEV, sentences=(replace(first, labels=("X",) * len(first.labels)),)), unknown="ignore")
    files.labelled(encoder, replace(DEV, sentences=(first,)), unknown="ignore")
    files.labelled(replace(encoder, max_length=9), DEV, unknown="ignore")
    files.labelled(replace(encoder, anchor="first"), DEV, unknown="ignore")
    files.labelled(encoder, DEV, unknown="error")
    EncodedFiles(tmp_path, version=2).labelled(encoder, DEV, unknown="ignore")
    assert len(list(tmp_path.iterdir())) == 7


def test_a_damaged_file_is_said_and_made_again(encoder: TextEncoder, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = EncodedFiles(tmp_path, version=1)
    made = files.labelled(encoder, DEV, unknown="ignore")
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(whole[:-5] + b"wrong")
    assert same(files.labelled(encoder, DEV, unknown="ignore").encoded, made.encoded)
    assert f"{path}: damaged" in caplog.text
    assert path.read_bytes() == whole
