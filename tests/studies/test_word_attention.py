"""Attention between words against the eager kernel's own weights, put together by a plain loop."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tiny_run import save_encoder
from transformers import AutoModelForTokenClassification, AutoTokenizer

from polyhead.core.heads import HeadId, HeadMask
from polyhead.data.sentences import Sentence
from polyhead.learning.encoding import encode
from polyhead.models.model_heads import head_mask
from polyhead.models.names import model_folder
from polyhead.models.pruning import prune
from polyhead.studies.word_attention import each_word_attention, word_of_position

TEXTS = (("Where", "is", "Tübingen", "?"), ("Ich", "möchte", "einen", "Flug", "nach", "Reykjavík", "."), ("ja",))
SENTENCES = [Sentence(words, (None,) * len(words), "de", f"x:{i}") for i, words in enumerate(TEXTS)]


def test_rows_and_columns_of_a_word_are_those_of_its_pieces() -> None:
    folder = str(model_folder("polyhead/tiny"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    prune(model, HeadMask.without(4, 8, [HeadId(1, 2)]))
    encoded = encode(SENTENCES, tokenizer, None)
    positions = word_of_position(SENTENCES, encoded, tokenizer)
    found: dict[tuple[int, int], NDArray[np.float64]] = {}
    kept_heads = {}

    def receive(sentence: int, layer: int, kept: tuple[int, ...], weights: NDArray[np.float64]) -> None:
        found[sentence, layer], kept_heads[layer] = weights, kept

    each_word_attention(model, encoded, positions, receive, precision="fp32")
    assert len(found) == 3 * 4
    assert kept_heads[1] == tuple(head for head in range(8) if head != 2)
    for index, sentence in enumerate(SENTENCES):
        given = tokenizer(list(sentence.words), is_split_into_words=True, return_tensors="pt")
        words = [len(sentence.words) if word is None else word for word in given.word_ids()]
        own = positions[index]
        assert own is not None
        assert own.tolist() == words
        with torch.no_grad():
            attentions = model(**given, output_attentions=True).attentions
        for layer, weights in enumerate(attentions):
            expected = np.zeros((weights.shape[1], len(sentence.words), len(sentence.words) + 1))
            for place, word in enumerate(words):
                for other, to in enumerate(words):
                    if word < len(sentence.words):
                        expected[:, word, to] += weights[0, :, place, other].numpy() / words.count(word)
            np.testing.assert_allclose(found[index, layer], expected, atol=1e-5)
            np.testing.assert_allclose(found[index, layer].sum(axis=-1), 1, atol=1e-5)
    assert head_mask(model).n_pruned == 1


def test_a_sentence_of_several_windows_is_passed_over(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(save_encoder(tmp_path))
    long = Sentence(("the",) * 9, (None,) * 9, "en", "x:1")
    short = Sentence(("a", "dog"), (None,) * 2, "en", "x:2")
    encoded = encode([long, short], tokenizer, None, max_length=6)
    several, one = word_of_position([long, short], encoded, tokenizer)
    assert several is None
    assert one is not None
    assert one.tolist() == [2, 0, 1, 2]


def test_no_sentences_are_no_error(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(save_encoder(tmp_path))
    assert word_of_position([], encode([], tokenizer, None), tokenizer) == []
