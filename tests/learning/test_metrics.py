"""Scores against seqeval and scikit-learn on random tags, and the paper's chunks against their description."""

from collections.abc import Sequence
from itertools import chain, groupby
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import f1_score, precision_score, recall_score
from sklearn.metrics import f1_score as sklearn_f1

from polyhead.core.errors import SettingError
from polyhead.data.labels import LabelSet
from polyhead.data.tasks import TASKS, UPOS
from polyhead.learning.metrics import metric_from_counts, score, sentence_counts

POS, NER = TASKS["pos"], TASKS["ner"]
IOB2 = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-a-b", "I-a-b", "I-a"]


def pairs_of(tags: Sequence[str]) -> st.SearchStrategy[list[list[tuple[str, str]]]]:
    word = st.tuples(st.sampled_from(tags), st.sampled_from(tags))
    return st.lists(st.lists(word, max_size=9), min_size=1, max_size=5).filter(lambda s: any(s))


def split(pairs: Sequence[Sequence[tuple[Any, Any]]]) -> tuple[list[list[Any]], list[list[Any]]]:
    return [[a for a, _ in sentence] for sentence in pairs], [[b for _, b in sentence] for sentence in pairs]


@pytest.mark.filterwarnings("ignore")
@given(pairs_of(IOB2))
@settings(max_examples=300, deadline=None)
def test_spans_are_read_as_seqeval_reads_them(pairs: list[list[tuple[str, str]]]) -> None:
    gold, predicted = split(pairs)
    result = score(NER, gold, predicted)
    assert result["span_f1"] == pytest.approx(float(f1_score(gold, predicted)), abs=1e-12)
    assert result["precision"] == pytest.approx(float(precision_score(gold, predicted)), abs=1e-12)
    assert result["recall"] == pytest.approx(float(recall_score(gold, predicted)), abs=1e-12)


@pytest.mark.parametrize(
    ("tags", "spans"),
    [
        ("I-PER I-PER O", 1),
        ("B-PER I-LOC", 2),
        ("B-PER B-PER", 2),
        ("O I-LOC O I-LOC", 2),
        ("B-PER I-PER I-LOC I-PER", 3),
        ("O O", 0),
    ],
)
def test_number_of_spans(tags: str, spans: int) -> None:
    assert sentence_counts(NER, [tags.split()], [tags.split()]).tolist() == [[spans] * 3]


def test_a_span_ends_with_its_sentence() -> None:
    assert sentence_counts(NER, [["B-PER"], ["I-PER"]], [["B-PER"], ["I-PER"]])[:, 1].tolist() == [1, 1]
    assert sentence_counts(POS, [["NOUN"], ["NOUN"]], [["NOUN"], ["NOUN"]])[:, 3].tolist() == [1, 1]


def chunks(tags: Sequence[str]) -> set[tuple[int, int, str]]:
    """Runs of equal tags, every SYM and SCONJ alone: written from the description."""
    found, start = set(), 0
    for tag, run in groupby(tags):
        length = len(list(run))
        if tag in ("SYM", "SCONJ"):
            found |= {(place, place, tag) for place in range(start, start + length)}
        else:
            found.add((start, start + length - 1, tag))
        start += length
    return found


@given(pairs_of(["NOUN", "VERB", "SYM", "SCONJ", "INTJ"]))
@settings(max_examples=200, deadline=None)
def test_chunks_accuracy_and_macro_f1(pairs: list[list[tuple[str, str]]]) -> None:
    gold, predicted = split(pairs)
    read = [(chunks(a), chunks(b)) for a, b in zip(gold, predicted, strict=True)]
    right, n_gold, n_predicted = (sum(map(len, part)) for part in zip(*((a & b, a, b) for a, b in read), strict=True))
    flat_gold, flat_predicted = list(chain.from_iterable(gold)), list(chain.from_iterable(predicted))
    result = score(POS, gold, predicted)
    assert result["chunk_f1"] == pytest.approx(2 * right / (n_gold + n_predicted))
    assert result["accuracy"] == pytest.approx(np.mean([a == b for a, b in zip(flat_gold, flat_predicted, strict=True)]))
    assert result["macro_f1"] == pytest.approx(sklearn_f1(flat_gold, flat_predicted, average="macro"))


def test_sym_and_sconj_are_the_only_tags_that_stand_alone() -> None:
    counts = {tag: int(sentence_counts(POS, [[tag, tag]], [[tag, tag]])[0, 3]) for tag in UPOS}
    assert {tag for tag, count in counts.items() if count == 2} == {"SYM", "SCONJ"}


def test_words_without_gold_are_not_scored() -> None:
    assert sentence_counts(POS, [["NOUN", None, "VERB"]], [["NOUN", "NOUN", "NOUN"]]).tolist() == [[1, 2, 1, 2, 2]]
    assert score(POS, [["NOUN", None]], [["NOUN", "X"]])["macro_f1"] == 1.0
    assert score(NER, [["B-PER", None]], [["B-PER", "B-LOC"]])["span_f1"] == 1.0


@given(pairs_of(["NOUN", "VERB", "SYM"]), st.integers(0, 100))
@settings(max_examples=50, deadline=None)
def test_sums_of_sentence_counts_give_the_corpus_figure(pairs: list[list[tuple[str, str]]], seed: int) -> None:
    gold, predicted = split(pairs)
    counts = sentence_counts(POS, gold, predicted)
    assert counts.shape == (len(gold), 5)
    order = np.random.default_rng(seed).permutation(len(gold))
    again = score(POS, [gold[i] for i in order], [predicted[i] for i in order])
    assert metric_from_counts(POS, counts.sum(axis=0)) == pytest.approx(again["accuracy"])
    assert metric_from_counts(POS, counts.sum(axis=0), name="chunk_f1") == pytest.approx(again["chunk_f1"])
    assert metric_from_counts(POS, np.stack([counts.sum(axis=0)] * 3)).shape == (3,)


def test_the_main_figure_of_every_task_is_among_its_scores() -> None:
    tags = {"tag": [["NOUN"]], "span": [["B-PER"]], "sentence": [["neutral"]], "masked": [["a"]]}
    for task in TASKS.values():
        result = score(task, tags[task.kind], tags[task.kind])
        assert result[task.metric] == 1.0
        assert metric_from_counts(task, sentence_counts(task, tags[task.kind], tags[task.kind]).sum(axis=0)) == 1.0


def test_nothing_found_scores_zero() -> None:
    assert score(NER, [["O"]], [["O"]]) == {"span_f1": 0.0, "precision": 0.0, "recall": 0.0}


@pytest.mark.parametrize(
    ("gold", "predicted", "what"),
    [
        ([["O"]], [["O"], ["O"]], "1 sentences with gold labels but 2"),
        ([["O"], ["O", "O"]], [["O"], ["O"]], "sentence 2: 2 gold labels but 1"),
        ([[None]], [["O"]], "nothing to score"),
        ([], [], "nothing to score"),
        ([["S-PER"]], [["O"]], "label 'S-PER'"),
        ([["O"]], [["PER"]], "label 'PER'"),
    ],
)
def test_what_cannot_be_scored_is_said(gold: list[list[str | None]], predicted: list[list[str]], what: str) -> None:
    with pytest.raises(SettingError, match=what):
        score(NER, gold, predicted)


def test_a_figure_that_counts_do_not_give_is_refused() -> None:
    with pytest.raises(SettingError, match="give span_f1"):
        metric_from_counts(NER, [1, 1, 1], name="accuracy")


LABEL = st.sampled_from("abc")


@given(st.lists(st.tuples(st.one_of(st.none(), LABEL), LABEL), min_size=1, max_size=30), st.integers(0, 2**16))
@settings(max_examples=60, deadline=None)
def test_figures_of_sentences_are_those_of_their_definition(pairs: list[tuple[str | None, str]], seed: int) -> None:
    """Accuracy, and macro-F1 as sklearn's f1_score(average="macro") defines it: the mean over labels in gold or prediction."""
    task = TASKS["nli"]
    gold, predicted = [[own] for own, _ in pairs], [[own] for _, own in pairs]
    scored = [(one, other) for one, other in pairs if one is not None]
    if not scored:
        with pytest.raises(SettingError, match=r"none of .* sentences has a gold label"):
            score(task, gold, predicted)
        return
    f1s = []
    for label in sorted({label for pair in scored for label in pair}):
        hits = sum(one == label and other == label for one, other in scored)
        misses = sum(one == label and other != label for one, other in scored)
        false = sum(one != label and other == label for one, other in scored)
        f1s.append(2 * hits / (2 * hits + misses + false))
    expected = {"accuracy": sum(one == other for one, other in scored) / len(scored), "macro_f1": sum(f1s) / len(f1s)}
    assert score(task, gold, predicted) == pytest.approx(expected)
    counts = sentence_counts(task, gold, predicted, labels=LabelSet(("b", "z", "a")))
    sums = counts[np.random.default_rng(seed).permutation(len(pairs))].sum(axis=0)
    for name, value in expected.items():
        assert metric_from_counts(task, sums, name=name) == pytest.approx(value)  # type: ignore[arg-type]
    assert metric_from_counts(task, np.stack([sums] * 4).reshape(2, 2, -1), name="macro_f1").shape == (2, 2)


def test_models_with_the_same_labels_count_in_the_same_columns() -> None:
    task, labels = TASKS["classification"], LabelSet(("no", "yes"))
    gold = [["yes"], ["no"], ["maybe"]]
    for predicted in ([["yes"]] * 3, [["no"]] * 3):
        assert sentence_counts(task, gold, predicted, labels=labels).shape == (3, 2 + 3 * 3)


def test_masked_text_without_a_known_subword_has_no_score() -> None:
    assert score(TASKS["mlm"], [["a", None], []], [["a", "b"], []]) == {"accuracy": 1.0}
    with pytest.raises(SettingError, match="no subword of 2 sentences can be scored"):
        score(TASKS["mlm"], [[None], []], [["b"], []])
