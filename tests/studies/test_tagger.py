"""The object API does what the functions under it do, with nothing threaded by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from polyhead.core.errors import CheckpointError, DataFormatError, SettingError
from polyhead.core.heads import HeadId, HeadMask, HeadScores
from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.data.labels import LabelSet, label_set
from polyhead.data.sampling import sample
from polyhead.data.tasks import TASKS
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import scoring_batches
from polyhead.learning.inference import evaluate, predict
from polyhead.models.encoding_choice import EncodingChoice
from polyhead.models.model_heads import head_mask
from polyhead.studies.tagger import Tagger

TRAIN, DEV = (sample(open_corpus("phrases/en", split), 24, seed=1) for split in ("train", "dev"))
GERMAN = sample(open_corpus("phrases/de", "dev"), 8, seed=1)


def opened(**options: object) -> Tagger:
    return Tagger.load("polyhead/tiny", **{"task": "pos", "seed": 42, "precision": "fp32", **options})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tagger = opened(anchor="first", max_length=64, words="syntactic")
    tagger.fit(TRAIN, spec=TrainSpec(epochs=1, anchor="first", max_length=64))
    tagger.prune(tagger.score("magnitude", DEV), 3)
    return tagger.save(tmp_path_factory.mktemp("tagger") / "saved")


def test_methods_are_the_functions_with_everything_filled_in() -> None:
    tagger = opened()
    own = tagger.labelled(DEV)
    rest = {"labels": tagger.labels, "precision": "fp32"}
    assert tagger.predict(DEV) == tagger.predict(DEV.sentences) == predict(tagger.model, own.encoded, **rest)  # type: ignore[arg-type]
    found = evaluate(tagger.model, {"x": own}, TASKS["pos"], tagger.labels, precision="fp32")["x"]
    assert tagger.evaluate(DEV).metrics == tagger.evaluate(own).metrics == found.metrics
    scores = score_heads("gradient", tagger.model, scoring_batches(own.encoded), precision="fp32")
    mine = tagger.score("gradient", DEV)
    np.testing.assert_array_equal(mine.values, scores.values)
    assert (mine.languages, mine.model, mine.data_hash) == (("en",), "polyhead/tiny", DEV.sha256)
    assert mine.settings == {**scores.settings, "seed": 42, "task": "pos", "anchor": "text", "max_length": 256}
    np.testing.assert_array_equal(tagger.score("gradient", own.encoded).values, scores.values)


def test_several_data_sets_go_through_together() -> None:
    tagger = opened()
    both = tagger.evaluate({"en": DEV, "de": tagger.labelled(GERMAN)})
    assert {name: found.metrics for name, found in both.items()} == {
        "en": tagger.evaluate(DEV).metrics,
        "de": tagger.evaluate(GERMAN).metrics,
    }
    scores = tagger.score("gradient", [DEV, GERMAN])
    assert (scores.n, scores.languages) == (32, ("en", "de"))
    assert scores.data_hash == f"{DEV.sha256}+{GERMAN.sha256}"


def test_options_are_those_of_the_method() -> None:
    tagger = opened()
    assert tagger.score("l0", DEV, options={"n_lowest": 3, "epochs": 1}).settings["n_lowest"] == 3
    with pytest.raises(SettingError, match="method gradient has no option n_lowest"):
        tagger.score("gradient", DEV, options={"n_lowest": 3})


def test_words_need_no_reader() -> None:
    tagger = opened()
    words = [list(sentence.words) for sentence in DEV.sentences]
    assert tagger.predict(words) == tagger.predict(DEV)
    assert tagger.predict([]) == []
    with pytest.raises(SettingError, match="sentence 2: 'not split' is a string; expected a list of words"):
        tagger.predict([["yes"], "not split"])


def test_a_mask_is_pruned_as_it_is_evaluated() -> None:
    tagger, mask = opened(), HeadMask.without(4, 8, [HeadId(0, 3), HeadId(2, 7)])
    masked = tagger.evaluate(DEV, mask=mask)
    assert tagger.prune(mask) == head_mask(tagger.model) == mask
    assert tagger.evaluate(DEV).predicted == masked.predicted


def test_scores_prune_the_lowest_of_the_heads_that_are_left() -> None:
    tagger = opened()
    scores = HeadScores(np.arange(32.0).reshape(4, 8), "mine")
    assert tagger.prune(scores, 2).pruned == (HeadId(0, 0), HeadId(0, 1))
    assert tagger.prune(scores, 2).pruned == tuple(HeadId(0, head) for head in range(4)), "heads that are gone do not count"
    again = tagger.score("magnitude", DEV)
    np.testing.assert_array_equal(np.isnan(again.values), ~head_mask(tagger.model).keep)


@pytest.mark.parametrize(
    ("heads", "n", "message"),
    [
        (HeadMask.full(4, 8), 2, "takes a HeadMask alone, or the number of heads"),
        (HeadScores(np.zeros((4, 8)), "mine"), None, "takes a HeadMask alone, or the number of heads"),
        (HeadScores(np.full((4, 8), np.nan), "mine"), 1, r"scores: none for head 0\.0 of the model \(32 unscored heads\)"),
        (HeadScores(np.zeros((2, 2)), "mine"), 1, r"shapes \(2, 2\) and \(4, 8\)"),
        (HeadMask.full(2, 2), None, r"\(2, 2\)|2 layers"),
        (HeadScores(np.zeros((4, 8)), "mine"), 33, "33 heads to prune"),
    ],
)
def test_what_cannot_be_pruned_is_refused(heads: HeadMask | HeadScores, n: int | None, message: str) -> None:
    tagger = opened()
    with pytest.raises(SettingError, match=message):
        tagger.prune(heads, n)
    assert head_mask(tagger.model).n_pruned == 0


def test_a_saved_tagger_opens_as_it_was_trained(saved: Path) -> None:
    tagger = Tagger.load(saved)
    choice = EncodingChoice.read(saved)
    assert choice is not None
    assert (choice.anchor, choice.max_length, choice.precision, choice.words) == ("first", 64, "fp32", "syntactic")
    assert (tagger.task, tagger.anchor, tagger.max_length, tagger.trained_words) == (TASKS["pos"], "first", 64, "syntactic")
    assert (tagger.precision, tagger.labels, tagger.device) == ("fp32", LabelSet(TASKS["pos"].labels), torch.device("cpu"))
    assert head_mask(tagger.model).n_pruned == 3
    other = Tagger.load(saved, task="pos", anchor="text", max_length=32, precision="bf16")
    assert (other.anchor, other.max_length, other.precision) == ("text", 32, "bf16"), "what is given comes first"


def test_labels_in_another_order_are_the_same_tagger(saved: Path) -> None:
    turned = LabelSet(TASKS["pos"].labels[::-1])
    tagger = Tagger.load(saved, labels=turned)
    assert tagger.labels == turned
    assert tagger.predict(DEV) == Tagger.load(saved).predict(DEV)


def test_what_cannot_be_opened_says_what_to_give(saved: Path) -> None:
    with pytest.raises(SettingError, match=r"polyhead/tiny: does not record its task; give task=, one of pos, ner, slots"):
        Tagger.load("polyhead/tiny")
    with pytest.raises(CheckpointError, match="no token classifier; fine-tune it with polyhead fit"):
        Tagger.load("polyhead/tiny", task="pos")
    with pytest.raises(SettingError, match="task ner: its labels come from the training data; give labels="):
        Tagger.load("polyhead/tiny", task="ner", seed=1)
    with pytest.raises(CheckpointError, match=r"predicts ADJ .* expected O B-X I-X; give a seed for a new classifier"):
        Tagger.load(saved, task="ner", labels=LabelSet(("O", "B-X", "I-X")))
    with pytest.raises(CheckpointError, match="task ner needs O and B-TYPE, I-TYPE"):
        Tagger.load(saved, task="ner")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"anchor": "frist"}, "anchor = 'frist': should be 'text' or 'first'; did you mean 'first'?"),
        ({"max_length": 0}, "max_length = 0: should be at least 8"),
        ({"max_length": "64"}, "max_length = '64': should be a whole number"),
        ({"words": "syntatic"}, "words = 'syntatic': should be 'surface' or 'syntactic'; did you mean 'syntactic'?"),
        ({"seed": -1}, "seed = -1: should be at least 0"),
    ],
)
def test_a_setting_that_is_not_allowed_is_refused(setting: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError) as error:
        opened(**setting)
    assert str(error.value) == said


def test_a_seed_draws_the_classifier() -> None:
    weights = [opened(seed=seed).model.classifier.weight for seed in (1, 1, 2)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    names = sample(open_corpus("phrases-ner/en", "train"), 50, seed=1)
    labels = label_set(TASKS["ner"], [names])
    assert opened(task="ner", labels=labels).labels == labels


def test_a_stopped_fit_continues(tmp_path: Path) -> None:
    tagger, spec = opened(), TrainSpec(epochs=1)
    record = tagger.fit([TRAIN, GERMAN], spec=spec, resume_file=tmp_path / "state")
    assert (record.steps, record.precision) == (2, "fp32")
    other = opened()
    assert other.fit([TRAIN, GERMAN], spec=spec, resume_file=tmp_path / "state").resumed_at == 2
    assert other.evaluate(DEV).predicted == tagger.evaluate(DEV).predicted


def test_a_training_that_reads_otherwise_than_the_tagger_is_refused() -> None:
    tagger = opened()
    for spec in (TrainSpec(anchor="first"), TrainSpec(max_length=64), TrainSpec(precision="bf16")):
        with pytest.raises(SettingError, match=r"spec: (anchor|max_length|precision) is .*; load it with"):
            tagger.fit(TRAIN, spec=spec)
    wrong = replace(TRAIN.sentences[0], labels=("NO",) * len(TRAIN.sentences[0].words))
    with pytest.raises(DataFormatError, match="label 'NO'"):
        tagger.fit(replace(TRAIN, sentences=(wrong,)), spec=TrainSpec(epochs=1))


@pytest.mark.parametrize("own", [{"max_length": 12}, {"anchor": "first"}, {"anchor": "first", "max_length": 12}])
def test_a_training_reads_as_the_tagger_does_unless_told_otherwise(own: dict[str, object]) -> None:
    tagger, whole = opened(**own), opened(**own)
    record = tagger.fit(TRAIN, spec=TrainSpec(epochs=1))
    spec = TrainSpec(epochs=1, precision="fp32", **own)  # type: ignore[arg-type]
    assert whole.fit(TRAIN, spec=spec).losses == record.losses


@pytest.mark.parametrize("data", ["phrases/en", None, ["a b"]])
def test_what_is_not_data_is_refused_by_name(data: object) -> None:
    tagger = opened()
    for work in (tagger.fit, tagger.evaluate, lambda given: tagger.score("gradient", given)):
        with pytest.raises(TypeError, match="expected what open_corpus or open_file returns"):
            work(data)  # type: ignore[operator]
    with pytest.raises(TypeError, match="expected what open_corpus or open_file returns"):
        tagger.evaluate([DEV])  # type: ignore[call-overload]


@pytest.mark.parametrize("n", [True, 1.5])
def test_a_number_of_heads_is_a_whole_number(n: object) -> None:
    with pytest.raises(SettingError, match="heads to prune: expected a whole number"):
        opened().prune(HeadScores(np.arange(32.0).reshape(4, 8), "mine"), n)  # type: ignore[arg-type]


def test_wrong_arguments_are_named(caplog: pytest.LogCaptureFixture) -> None:
    tagger = Tagger.load("polyhead/tiny", task="pos", seed=1)
    data = sample(open_corpus("phrases/en", "test"), 4, seed=1)
    with pytest.raises(SettingError, match=r"spec: expected TrainSpec\(\.\.\.\)"):
        tagger.fit(data, spec={"epochs": 1})  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=r"sentence 1: .* has an empty word"):
        tagger.predict([["", "a"]])
    with pytest.raises(SettingError, match="count from 0"):
        HeadId(-1, 2)
    tagger.score("gradient", data)
    assert "heads are scored on a test split" in caplog.text


def test_masked_text_is_neither_learnt_nor_predicted() -> None:
    tagger = replace(Tagger.load("polyhead/tiny", task="pos", seed=42), task=TASKS["mlm"])
    with pytest.raises(SettingError, match="task mlm: heads are scored with the model as it is; nothing is fine-tuned"):
        tagger.fit(open_corpus("phrases/en", "dev"))
    with pytest.raises(SettingError, match="task mlm: scores heads on raw text, and has no labels to predict"):
        tagger.predict([["Anna", "sings"]])


def test_a_model_with_masks_reads_each_text_under_one_or_says_that_it_does_not(caplog: pytest.LogCaptureFixture) -> None:
    tagger, masks = (
        opened(),
        {"de": HeadMask.without(4, 8, [HeadId(0, 3)]), "ja": HeadMask.without(4, 8, [HeadId(2, 7), HeadId(3, 1)])},
    )
    alone = {name: tagger.evaluate(DEV, mask=mask) for name, mask in masks.items()}
    tagger.prune(masks)
    encoded = tagger.labelled(DEV)
    assert tagger.evaluate(encoded, mask_names="ja").predicted == alone["ja"].predicted != alone["de"].predicted
    both = tagger.evaluate({"a": encoded, "b": encoded, "c": encoded}, mask_names={"a": "de", "b": "ja", "c": None})
    assert [both[name].predicted for name in "ab"] == [alone["de"].predicted, alone["ja"].predicted]
    tagger.predict(DEV, mask_names=["de"] * len(DEV.sentences))
    assert caplog.text == ""
    assert tagger.evaluate(encoded).predicted == both["c"].predicted
    assert (
        "read with all heads, because the model has masks for de, ja only: encoded data, whose language is not known"
        in caplog.text
    )
    caplog.clear()
    tagger.evaluate(DEV)
    assert f"has masks for de, ja only: {DEV.language}; give mask_names" in caplog.text
    caplog.clear()
    tagger.predict(DEV)
    assert "read with all heads, because no mask is named; the model has masks for de, ja; give mask_names" in caplog.text
    with pytest.raises(SettingError, match="mask 'sw': this model has no such mask; expected one of de, ja"):
        tagger.evaluate(encoded, mask_names="sw")
    with pytest.raises(SettingError, match="mask names were given, but this model has no masks"):
        opened().evaluate(encoded, mask_names="de")
