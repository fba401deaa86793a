"""Facts on splits and on what they share, counted by hand."""

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from polyhead.data.sentences import Dataset, Sentence
from polyhead.doctor.data_check import Overlap, TokenRates, overlaps, split_facts


def sentence(*pairs):
    return Sentence(tuple(word for word, _ in pairs), tuple(label for _, label in pairs), "en", "x:1")


def dataset(split, *sentences, repairs=None):
    return Dataset("x", "en", split, sentences, repairs or {}, "0" * 64)


ANN = sentence(("Ann", "B-PER"), ("Lee", "I-PER"), ("sings", "O"))
AGAIN = sentence(("Ann", "B-PER"), ("Lee", "B-PER"), ("sings", None))
BONN = sentence(("Bonn", "B-a-b"))


def test_counts_of_a_split():
    facts = split_facts(dataset("dev", ANN, AGAIN, BONN, ANN, repairs={"x": 2}), max_length=2)
    assert (facts.split, facts.sentences, facts.words, facts.unlabelled_words, facts.longest) == ("dev", 4, 10, 1, 3)
    assert (facts.over_long, facts.repeats) == (3, 2)
    assert facts.labels == {"PER": 4, "a-b": 1}
    assert (facts.repairs, facts.rates, facts.sha256) == ({"x": 2}, None, "0" * 64)


def test_what_splits_share():
    train, dev, test = dataset("train", ANN, BONN), dataset("dev", AGAIN, ANN), dataset("test", BONN, BONN)
    assert list(overlaps([train, dev, test])) == [
        Overlap("train", "dev", 2, 1),
        Overlap("train", "test", 2, 0),
        Overlap("dev", "test", 0, 0),
    ]


@pytest.fixture
def tokenizer():
    """Knows `▁`, two words and single letters; everything else is unknown."""
    vocabulary = [("<unk>", 0.0), ("▁", -2.0), ("▁Ann", -1.0), ("▁sings", -1.0), ("L", -3.0), ("e", -3.0), ("</s>", 0.0)]
    inner = Tokenizer(models.Unigram(vocabulary, unk_id=0))
    inner.normalizer = normalizers.NFC()
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 6)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>", eos_token="</s>", model_max_length=512)


def test_rates_of_a_tokenizer(tokenizer):
    facts = split_facts(dataset("dev", ANN, ANN, BONN), max_length=7, tokenizer=tokenizer)
    # ▁Ann | ▁ L e e | ▁sings, and ▁ <unk> for Bonn
    assert facts.rates == TokenRates(subwords=14, unknown_words=1, lone_marker_words=3, window=6)
    assert facts.over_long == 0  # six pieces and </s>
    assert split_facts(dataset("dev", ANN, ANN, BONN), max_length=6, tokenizer=tokenizer).over_long == 2
    tokenizer.model_max_length = 6
    assert split_facts(dataset("dev", ANN, ANN, BONN), max_length=256, tokenizer=tokenizer).over_long == 2
