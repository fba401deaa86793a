from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer, BertTokenizer

from polyhead.core.errors import SettingError
from polyhead.data.conllu import read_conllu
from polyhead.data.sentences import Sentence
from polyhead.data.textfile import TextFile
from polyhead.learning.batching import WINDOWS_PER_PART, collate, scoring_batches, training_batches
from polyhead.learning.encoded import Encoded, EncodingCounts, Window
from polyhead.learning.encoding import encode

PAD = 1


def window(sentence, length, *, words=None):
    """Tokens 10, 11, …; the word at position p+1 has label p, its word index starts at `words`."""
    n = length - 2
    first = words or 0
    return Window(
        sentence=sentence,
        input_ids=np.arange(10, 10 + length, dtype=np.int32),
        anchor_positions=np.arange(1, n + 1, dtype=np.int32),
        anchor_words=np.arange(first, first + n, dtype=np.int32),
        label_ids=np.arange(n, dtype=np.int32),
    )


def made(*lengths):
    """Sentences of one window each (an int), of several (a tuple) or without words (0)."""
    windows, words = [], []
    for sentence, length in enumerate(lengths):
        done = 0
        for one in (length,) if isinstance(length, int) else length:
            if one:
                windows.append(window(sentence, one, words=done))
                done += one - 2
        words.append(done)
    return Encoded(tuple(windows), tuple(words), EncodingCounts(), PAD)


def order_of(batches):
    return [batch.sentences for batch in batches]


def train(encoded, **changes):
    arguments = {"batch_size": 4, "order": "buckets", "seed": 1, "epoch": 0} | changes
    return training_batches(encoded, **arguments)


def test_collate():
    batch = collate([[window(5, 4)], [window(2, 5), window(2, 3, words=3)]], pad_id=PAD)
    assert batch.input_ids.tolist() == [[10, 11, 12, 13, PAD], [10, 11, 12, 13, 14], [10, 11, 12, PAD, PAD]]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]
    assert batch.is_text.int().tolist() == [[0, 1, 1, 0, 0], [0, 1, 1, 1, 0], [0, 1, 0, 0, 0]]
    assert batch.labels.tolist() == [[-100, 0, 1, -100, -100], [-100, 0, 1, 2, -100], [-100, 0, -100, -100, -100]]
    assert batch.sentences == (5, 2)
    assert batch.rows.tolist() == [0, 1, 1]
    assert batch.anchor_rows.tolist() == [0, 0, 1, 1, 1, 2]
    assert batch.anchor_columns.tolist() == [1, 2, 1, 2, 3, 1]
    assert batch.anchor_words.tolist() == [0, 1, 0, 1, 2, 3]
    assert torch.equal(batch.labels[batch.anchor_rows, batch.anchor_columns], batch.anchor_labels)
    assert (batch.n_tokens, batch.n_positions, batch.has_padding) == (12, 15, True)
    tensors = [value for value in vars(batch).values() if isinstance(value, torch.Tensor)]
    assert len(tensors) == 9
    assert all(tensor.dtype == torch.int64 for tensor in tensors if tensor is not batch.is_text)


def test_no_padding():
    batch = collate([[window(0, 4)], [window(1, 4)]], pad_id=PAD)
    assert not batch.has_padding
    assert collate([[window(0, 4)]], pad_id=PAD, pad_to=8).has_padding


def test_to_moves_every_tensor():
    batch = collate([[window(0, 4)]], pad_id=PAD).to("meta")
    assert {value.device.type for value in vars(batch).values() if isinstance(value, torch.Tensor)} == {"meta"}
    assert (batch.sentences, batch.n_tokens) == ((0,), 4)


@given(
    lengths=st.lists(st.one_of(st.integers(3, 40), st.just(0), st.tuples(st.integers(30, 40), st.integers(3, 40))), max_size=40),
    budget=st.integers(1, 200),
)
@settings(max_examples=100, deadline=None)
def test_scoring_batches_hold_every_window_once_within_the_budget(lengths, budget):
    encoded = made(*lengths)
    batches = scoring_batches(encoded, budget=budget)
    met = Counter(sentence for batch in batches for sentence in batch.sentences)
    assert met == Counter({number: 1 for number, length in enumerate(lengths) if length})
    assert sum(len(batch.anchor_rows) for batch in batches) == sum(encoded.words_per_sentence)
    assert sum(batch.n_tokens for batch in batches) == sum(len(window.input_ids) for window in encoded.windows)
    for batch in batches:
        assert batch.n_positions <= budget or len(batch.sentences) == 1
        assert batch.n_tokens == int(batch.attention_mask.sum())
        assert batch.rows.tolist() == sorted(batch.rows.tolist())
    widths = [batch.input_ids.shape[1] for batch in batches]
    assert widths == sorted(widths, reverse=True)


def test_scoring_batches_fill_the_budget():
    batches = scoring_batches(made(*[8] * 10), budget=32)
    assert [len(batch.sentences) for batch in batches] == [4, 4, 2]


def test_scoring_batches_are_cut_where_lengths_fall():
    batches = scoring_batches(made(20, 19, *[4] * 10), budget=60)
    assert [len(batch.sentences) for batch in batches] == [2, 10]


def test_windows_of_a_sentence_stay_together():
    batches = scoring_batches(made(6, (20, 20, 7), 6, 6), budget=24)
    assert order_of(batches) == [(1,), (0, 2, 3)]
    assert batches[0].rows.tolist() == [0, 0, 0]
    assert batches[0].anchor_words.tolist() == [*range(41)]


@pytest.mark.parametrize("order", ["buckets", "shuffled", "file"])
def test_an_epoch_holds_every_sentence_once(order):
    encoded = made(*[3 + number * 7 % 30 for number in range(421)], (20, 9), 0)
    batches = train(encoded, order=order)
    assert sorted(sentence for batch in batches for sentence in batch.sentences) == list(range(422))
    assert sorted(Counter(len(batch.sentences) for batch in batches).items()) == [(2, 1), (4, 105)]


def test_file_order():
    assert order_of(train(made(9, 3, 5, 4, 8, 3), order="file")) == [(0, 1, 2, 3), (4, 5)]


@pytest.mark.parametrize("order", ["buckets", "shuffled"])
def test_order_depends_on_seed_and_epoch_alone(order):
    encoded = made(*[3 + number * 7 % 30 for number in range(300)])
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state()
    first = order_of(train(encoded, order=order, seed=3, epoch=2))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(1)
    np.random.seed(1)
    assert order_of(train(encoded, order=order, seed=3, epoch=2)) == first
    others = [order_of(train(encoded, order=order, seed=seed, epoch=epoch)) for seed, epoch in ((3, 1), (2, 2), (2, 3))]
    assert all(other != first for other in others)


def padding_share(batches):
    return 1 - sum(batch.n_tokens for batch in batches) / sum(batch.n_positions for batch in batches)


def test_buckets_pad_less_and_come_in_no_order_of_length():
    encoded = made(*[3 + number * 7 % 60 for number in range(2000)])
    shuffled, buckets = (train(encoded, batch_size=16, order=order) for order in ("shuffled", "buckets"))
    assert padding_share(buckets) < 0.1 < padding_share(shuffled)
    widths = [batch.input_ids.shape[1] for batch in buckets]
    assert abs(np.corrcoef(widths, np.arange(len(widths)))[0, 1]) < 0.3


def test_pad_to():
    batches = train(made(5, 7, 3), order="file", pad_to=16)
    assert batches[0].input_ids.shape == (3, 16)
    with pytest.raises(SettingError, match="pad_to 6: the longest window has 7 tokens"):
        train(made(5, 7, 3), order="file", pad_to=6)


def test_a_budget_of_nothing_is_refused():
    with pytest.raises(SettingError, match="token budget 0"):
        scoring_batches(made(5), budget=0)


def test_nothing_to_batch():
    for encoded in (made(), made(0)):
        assert scoring_batches(encoded) == []
        assert train(encoded) == []


def test_padding_on_english_ewt(shared):
    path = shared / "data" / "ud" / "UD_English-EWT" / "en_ewt-ud-dev.conllu.xz"
    data: list[Sentence] = list(read_conllu(TextFile(path, "en")))
    mini = AutoTokenizer.from_pretrained(shared / "models" / "mini")
    mbert = BertTokenizer(str(shared / "data" / "tokenizers" / "mbert" / "vocab.txt"), do_lower_case=False)
    for tokenizer in (mini, mbert):
        encoded = encode(data, tokenizer, None)
        batches = scoring_batches(encoded, budget=1024)
        assert sum(len(batch.anchor_rows) for batch in batches) == 25148
        assert max(batch.n_positions for batch in batches) <= 1024
        assert padding_share(batches) < 0.02
        assert len(batches) < 1.2 * sum(batch.n_tokens for batch in batches) / 1024
        assert padding_share(training_batches(encoded, batch_size=16, order="buckets", seed=42, epoch=0)) < 0.1


@pytest.mark.parametrize("order", ["file", "shuffled", "buckets"])
def test_a_sentence_of_many_windows_is_trained_on_in_parts(order):
    windows = [window(0, 5, words=3 * i) for i in range(100)] + [window(i, 6) for i in range(1, 30)]
    encoded = replace(made(*[5] * 30), windows=tuple(windows))
    epochs = [train(encoded, order=order, epoch=epoch) for epoch in range(3)]
    assert {len(batches) for batches in epochs} == {-(-(13 + 29) // 4)}
    for batches in epochs:
        assert max(batch.input_ids.shape[0] for batch in batches) <= 4 * WINDOWS_PER_PART
        assert sum(batch.input_ids.shape[0] for batch in batches) == 129
        found = Counter()
        for batch in batches:
            places = batch.rows[batch.anchor_rows].tolist()
            found.update((batch.sentences[at], word) for at, word in zip(places, batch.anchor_words.tolist(), strict=True))
        assert found == Counter((w.sentence, int(word)) for w in windows for word in w.anchor_words)
