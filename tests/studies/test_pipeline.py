"""`ph.pipeline` labels each word as `predict` does, where stock pipelines read a word at its first subword."""

import copy
from dataclasses import replace

import pytest
import torch

from polyhead.core.errors import SettingError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.data.corpora import open_corpus
from polyhead.data.sampling import sample
from polyhead.data.sentences import Sentence
from polyhead.studies.pipeline import pipeline
from polyhead.studies.tagger import Tagger


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    tagger = Tagger.load("polyhead/tiny", task="pos", seed=42, max_length=16, precision="fp32")
    with torch.no_grad():
        tagger.model.classifier.weight.mul_(50)  # far from ties
    return tagger


@pytest.fixture(scope="module")
def sentences() -> list[Sentence]:
    return [text for name in ("ja", "de") for text in sample(open_corpus(f"phrases/{name}", "dev"), 12, seed=1).sentences]


@pytest.mark.parametrize("batch_size", [1, 4])
def test_it_agrees_with_predict_to_the_word(tagger: Tagger, sentences: list[Sentence], batch_size: int) -> None:
    assert any(len(window.input_ids) == 16 for window in tagger.encode(sentences).windows), "some sentences are several windows"
    words = [list(sentence.words) for sentence in sentences]
    found = pipeline(tagger)(words, batch_size=batch_size)
    assert [[word["entity"] for word in text] for text in found] == tagger.predict(sentences)
    assert [[word["word"] for word in text] for text in found] == words
    assert all(0 < word["score"] <= 1 for text in found for word in text)


def test_a_string_is_split_at_white_space(tagger: Tagger) -> None:
    tag, text = pipeline(tagger), " Where is\tthe station ?\n"
    found = tag(text)
    assert [text[word["start"] : word["end"]] for word in found] == text.split() == [word["word"] for word in found]
    assert [word["entity"] for word in found] == tagger.predict([text.split()])[0]
    assert tag([text, "", " ", "Where"])[1:3] == [[], []]
    assert tag([text, "", "Where"])[::2] == [found, tag("Where")]
    assert tag([]) == []
    assert tag("") == []
    with pytest.raises(SettingError, match="empty word"):
        tag([["a", ""]])


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_model_with_masks_is_read_under_the_one_that_is_named(
    tagger: Tagger, sentences: list[Sentence], batch_size: int, caplog: pytest.LogCaptureFixture
) -> None:
    shared = replace(tagger, model=copy.deepcopy(tagger.model))
    shared.prune({"de": HeadMask.without(4, 8, [HeadId(1, head) for head in range(6)]), "ja": HeadMask.full(4, 8)})
    words = [list(sentence.words) for sentence in sentences[:6]]
    found = pipeline(shared, mask_name="de")(words, batch_size=batch_size)
    assert caplog.text == ""
    expected = shared.predict(words, mask_names=["de"] * 6)
    assert [[word["entity"] for word in text] for text in found] == expected != shared.predict(words, mask_names=["ja"] * 6)
    pipeline(shared)
    assert "read with all heads, because no mask is named; the model has masks for de, ja; give mask_name" in caplog.text
    with pytest.raises(SettingError, match="mask 'sw': this model has no such mask"):
        pipeline(shared, mask_name="sw")
    with pytest.raises(SettingError, match="this model has no masks"):
        pipeline(tagger, mask_name="de")


def test_a_model_that_does_not_label_words_is_refused() -> None:
    classifier = Tagger.load("polyhead/tiny", task="nli", seed=42)
    with pytest.raises(SettingError, match="polyhead/tiny: task nli has no labels of words, but of each sentence; call"):
        pipeline(classifier)
