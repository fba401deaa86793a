"""One object reads text as the functions under it do, and takes what is read already as it is."""

from dataclasses import replace

import pytest

from polyhead.core.errors import DataFormatError, SettingError
from polyhead.data.corpora import open_corpus
from polyhead.data.labels import LabelSet
from polyhead.data.sampling import sample
from polyhead.data.tasks import TASKS
from polyhead.learning.encoding import encode
from polyhead.learning.text_encoder import TextEncoder, as_sentence
from polyhead.models.loading import load_tokenizer

DEV = sample(open_corpus("phrases/en", "dev"), 6, seed=1)


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    labels = LabelSet(TASKS["pos"].labels)
    return TextEncoder(tokenizer=load_tokenizer("polyhead/tiny"), labels=labels, anchor="text", max_length=16, model_limit=12)


def test_it_encodes_with_its_own_settings(encoder: TextEncoder) -> None:
    plain = encode(DEV.sentences, encoder.tokenizer, encoder.labels, max_length=16, model_limit=12)
    for found in (encoder.encode(DEV), encoder.encode(DEV.sentences), encoder.labelled(DEV).encoded):
        assert [window.input_ids.tolist() for window in found.windows] == [w.input_ids.tolist() for w in plain.windows]
    assert encoder.labelled(DEV).gold == [sentence.labels for sentence in DEV.sentences]


def test_several_texts_are_read_together_and_encoded_ones_as_they_are(encoder: TextEncoder) -> None:
    labelled = encoder.labelled(DEV)
    assert encoder.together(labelled, unknown="error").n_sentences == 6
    assert encoder.together([DEV, labelled, labelled.encoded], unknown="error").n_sentences == 18


def test_labels_that_the_model_lacks_are_refused_or_counted(encoder: TextEncoder) -> None:
    odd = replace(DEV, sentences=(replace(DEV.sentences[0], labels=("NO",) * len(DEV.sentences[0].words)),))
    assert encoder.encode(odd).counts.unknown_labels == len(DEV.sentences[0].words)
    with pytest.raises(DataFormatError, match="label 'NO'"):
        encoder.together(odd, unknown="error")


@pytest.mark.parametrize("data", ["phrases/en", None, ["a b"]])
def test_what_is_not_data_is_refused(encoder: TextEncoder, data: object) -> None:
    for read in (encoder.labelled, lambda given: encoder.together(given, unknown="ignore")):
        with pytest.raises(TypeError, match="expected what open_corpus or open_file returns"):
            read(data)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"expected what open_corpus or open_file returns$"):
        encoder.labelled([DEV])  # type: ignore[arg-type]


def test_a_sentence_is_a_list_of_words() -> None:
    assert as_sentence(DEV.sentences[0], 1) is DEV.sentences[0]
    assert as_sentence(["a", "b"], 1).labels == (None, None)
    for wrong, said in (("not split", "sentence 2: 'not split' is a string"), ([1], r"sentence 2: \[1\]: "), (None, "None")):
        with pytest.raises(SettingError, match=said):
            as_sentence(wrong, 2)  # type: ignore[arg-type]
