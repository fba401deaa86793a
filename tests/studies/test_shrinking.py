"""Shrinking a tiny tagger with a made-up latency table: what is met, what gives way, what continues, and what is refused."""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from studies.shrink_case import LANGUAGES, SHAPE, dev, made_up_table, tagger, texts

from polyhead.compression.checkpoint_size import checkpoint_bytes
from polyhead.compression.plan_search import RULES
from polyhead.core.errors import ArchitectureError, PolyheadError, SettingError, StoreError
from polyhead.core.heads import HeadId, HeadMask
from polyhead.core.neurons import Plan
from polyhead.data.corpora import open_corpus
from polyhead.data.sentences import Dataset
from polyhead.learning.batching import scoring_batches
from polyhead.learning.inference import Evaluation
from polyhead.models.model_heads import attention_sites, head_mask
from polyhead.models.model_neurons import neuron_mask
from polyhead.models.pruning import prune
from polyhead.studies import plan_rounds, shrink_judging, shrink_steps, shrinking
from polyhead.studies.shrink_spec import ShrinkSpec
from polyhead.studies.shrink_work import dev_halves
from polyhead.studies.shrinking import shrink, shrunk
from polyhead.studies.shrunk import Shrunk
from polyhead.studies.tagger import Tagger

TABLE = made_up_table()


def smaller(
    *, texts: Any = None, resume_file: Path | None = None, progress: Any = None, measure: bool = False, **asked: Any
) -> Shrunk:
    asked = {**SHAPE, "max_loss": 100.0, "rounds": 3, "scored": 16, **asked}
    spec = ShrinkSpec(**asked)
    return shrunk(
        tagger(), dev(), spec, texts=texts or {}, table=TABLE, measure=measure, resume_file=resume_file, progress=progress
    )


def plan_of(model: Any) -> Plan:
    return Plan(head_mask(model), neuron_mask(model))


def test_a_speed_is_met_by_uneven_layers_and_the_given_model_stays() -> None:
    before = copy.deepcopy(tagger().model.state_dict())
    found = smaller(speedup=2.0)
    assert found.met
    assert found.missed == ""
    assert found.milliseconds is not None
    assert found.milliseconds.before == 14.0
    assert found.milliseconds.predicted == pytest.approx(TABLE.predict(found.plan.counts))
    assert 6.5 < found.milliseconds.predicted <= 7.0
    assert found.speedup == pytest.approx(14.0 / found.milliseconds.predicted)
    assert plan_of(found.tagger.model) == found.plan
    assert len({*found.plan.counts}) > 1
    assert found.megabytes.after == pytest.approx(found.megabytes.predicted)
    assert found.megabytes.after < found.megabytes.before
    assert all(torch.equal(own, before[name]) for name, own in tagger().model.state_dict().items())
    judged = {own.language: dev_halves(own, seed=42)[1] for own in dev()}
    scores = found.tagger.evaluate(dict(judged))
    for own in found.losses:
        assert own.after == pytest.approx(100 * scores[own.language].metrics["accuracy"])
        assert own.low <= own.lost <= own.high
        assert own.sentences == 12
    assert [own.language for own in found.losses] == [*LANGUAGES]
    assert found.worst.lost == max(own.lost for own in found.losses)


def test_the_time_of_a_pass_can_be_asked_for_instead() -> None:
    found = smaller(latency="9ms", keep="heads")
    assert found.milliseconds is not None
    assert 8.5 < found.milliseconds.best <= 9.0
    assert found.plan.heads.n_pruned == 0


def test_a_size_comes_from_the_vocabulary_first() -> None:
    found = smaller(size=0.75, texts=texts())
    assert found.met
    assert found.subwords.after is not None
    assert found.subwords.after < found.subwords.before == 4000
    assert found.plan == found.before  # the vocabulary is enough
    assert found.milliseconds is not None
    assert found.milliseconds.predicted == 14.0
    further = smaller(size=0.4, texts=texts())
    assert further.plan.neurons.n_pruned
    assert further.megabytes.after == pytest.approx(further.megabytes.predicted)
    assert further.megabytes.after <= 0.4 * further.megabytes.before


def test_speed_and_size_together(tmp_path: Path) -> None:
    found = smaller(speedup=1.5, size="3MB", keep="vocabulary")
    assert found.milliseconds is not None
    assert found.milliseconds.best <= 14.0 / 1.5
    assert found.megabytes.after is not None
    assert found.megabytes.after <= 3.0
    folder = found.tagger.save(tmp_path / "small")
    again = Tagger.load(folder)
    assert plan_of(again.model) == found.plan
    on_disk = sum(path.stat().st_size for path in folder.iterdir() if path.name.startswith(("model.", "tokenizer")))
    assert on_disk == pytest.approx(checkpoint_bytes(again.model, again.tokenizer), rel=0.01)
    tags = [own.predict(dev()[0]) for own in (found.tagger, again)]
    assert tags[0] == tags[1]


def test_a_smaller_model_is_made_smaller_still() -> None:
    first = smaller(speedup=1.3)
    spec = ShrinkSpec(speedup=1.3, max_loss=100, rounds=2, scored=8, **SHAPE)
    second = shrunk(first.tagger, dev(), spec, texts={}, table=TABLE, measure=False)
    assert second.before == first.plan
    assert second.milliseconds is not None
    assert second.milliseconds.before == pytest.approx(TABLE.predict(first.plan.counts))
    assert second.milliseconds.best <= second.milliseconds.before / 1.3
    assert (second.plan.heads.keep <= first.plan.heads.keep).all()


@pytest.mark.parametrize("rule", [name for name in RULES if name != "joint"])
def test_baselines_meet_the_speed_too(rule: str) -> None:
    found = smaller(speedup=1.6, rule=rule, repair="none")
    assert found.milliseconds is not None
    assert found.milliseconds.best <= 14.0 / 1.6


@pytest.mark.parametrize("repair", ["means", "refit"])
def test_repairs_bring_the_outputs_nearer(repair: str) -> None:
    batches = [batch for own in dev() for batch in scoring_batches(tagger().encode(own))]

    def distance(own: Shrunk) -> float:
        total = 0.0
        for batch in batches:
            with torch.no_grad():
                wanted, got = (batch.at_anchors(each.model.eval()(**batch.inputs).logits) for each in (tagger(), own.tagger))
            total += float((wanted - got).square().sum())
        return total

    bare, repaired = (smaller(speedup=2.0, repair=how) for how in ("none", repair))
    assert bare.plan == repaired.plan
    assert distance(repaired) < distance(bare)


def test_nothing_that_is_chosen_reads_the_sentences_that_are_judged() -> None:
    """With the words of the judged half reversed, the plan and the weights are the same; only the losses differ."""

    def changed(own: Dataset, judged: bool) -> Dataset:
        part = {sentence.source for sentence in dev_halves(own, seed=42)[judged].sentences}
        new = [replace(one, words=one.words[::-1]) if one.source in part else one for one in own.sentences]
        return replace(own, sentences=tuple(new))

    asked = ShrinkSpec(speedup=2.0, max_loss=100.0, rounds=2, scored=256, **SHAPE)

    def found(data: list[Dataset]) -> Shrunk:
        return shrunk(tagger(), data, asked, texts={}, table=TABLE, measure=False)

    whole, other, chosen = (
        found(dev()),
        found([changed(own, True) for own in dev()]),
        found([changed(own, False) for own in dev()]),
    )
    assert whole.plan == other.plan
    state = whole.tagger.model.state_dict()
    assert all(torch.equal(own, state[name]) for name, own in other.tagger.model.state_dict().items())
    assert [own.before for own in whole.losses] != [own.before for own in other.losses]
    assert [own.before for own in whole.losses] == [own.before for own in chosen.losses]
    assert whole.plan != chosen.plan


def test_an_interrupted_search_continues_with_the_same_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, calls = tmp_path / "small.partial", []
    score = plan_rounds.score_plan

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        return score(*given, **named)

    monkeypatch.setattr(plan_rounds, "score_plan", counted)
    stop_at = 0
    whole = smaller(speedup=2.0)
    assert len(calls) == 3 * len(LANGUAGES)
    calls.clear()
    stop_at = 2 * len(LANGUAGES) + 1
    with pytest.raises(KeyboardInterrupt):
        smaller(speedup=2.0, resume_file=file)
    assert file.exists()
    calls.clear()
    stop_at = 0
    again = smaller(speedup=2.0, resume_file=file, max_loss=99.0)
    assert len(calls) == len(LANGUAGES)  # one round was left
    assert again.plan == whole.plan
    with pytest.raises(StoreError, match="belongs to other work"):
        smaller(speedup=1.9, resume_file=file)


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes points fall with what a plan loses of its time, in one language more than in the other."""

    def make(per_ms: dict[str, float]) -> None:
        def evaluated(model: Any, data: Any, *args: Any, **named: Any) -> dict[str, Evaluation]:
            gone = 14.0 - TABLE.predict(plan_of(model).counts)
            found = {}
            for language in data:
                right = round(10_000 * (0.9 - per_ms[language] * gone / 100))
                found[language] = Evaluation({"accuracy": right / 10_000}, np.array([[right, 10_000, 0, 0, 0]]), 10_000, [])
            return found

        monkeypatch.setattr(shrink_judging, "evaluate", evaluated)
        monkeypatch.setattr(Tagger, "evaluate", lambda self, data, **named: evaluated(self.model, data))

    return make


def test_the_speed_gives_way_to_the_allowed_loss(losing: Callable[..., None]) -> None:
    losing({"en": 0.1, "de": 0.5})
    found = smaller(speedup=2.0, max_loss=1.0)
    assert not found.met
    assert found.worst.language == "de"
    assert 0.7 < found.worst.lost <= 1.0
    assert found.milliseconds is not None
    assert found.milliseconds.best == pytest.approx(12.2, abs=0.25)
    assert "2 times as fast: de loses 3." in found.missed
    assert "more than 1 allowed; within that the speed gives way: 1.1" in found.missed
    assert plan_of(found.tagger.model) == found.plan


def test_a_loss_within_the_limit_is_no_miss(losing: Callable[..., None]) -> None:
    losing({"en": 0.1, "de": 0.1})
    found = smaller(speedup=2.0, max_loss=1.0)
    assert found.met
    assert found.worst.lost == pytest.approx(0.7, abs=0.05)


def test_where_trimming_alone_loses_too_much_the_loss_gives_way(
    losing: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    losing({"en": 0.0, "de": 0.0})
    monkeypatch.setattr(shrink_judging, "losses_of", lambda before, after, *_: (SimpleNamespace(language="de", lost=1.5),))
    found = smaller(size=0.4, texts=texts())
    assert found.met
    found = smaller(size=0.4, texts=texts(), max_loss=1.0)
    assert not found.met
    assert found.missed.endswith("the trimmed vocabulary alone loses 1.50 in de, so the loss gives way")
    assert found.megabytes.after is not None
    assert found.megabytes.after <= 0.4 * found.megabytes.before


def test_a_plan_that_is_measured_to_be_too_slow_is_corrected(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The machine takes 1.2 times as long as predicted for whatever is pruned."""
    monkeypatch.setattr(shrinking, "cached_latency", lambda model, **_: TABLE)

    def measured(given: Tagger, small: Tagger, spec: ShrinkSpec) -> tuple[float, float]:
        counts = plan_of(small.model).counts
        return 14.0, TABLE.predict(counts) * 1.2

    monkeypatch.setattr(shrink_steps, "compared_ms", measured)
    monkeypatch.setattr(shrinking, "compared_ms", measured)
    spec = ShrinkSpec(speedup=2.0, max_loss=100, rounds=2, scored=8, **SHAPE)
    found = shrunk(tagger(), dev(), spec, texts={}, resume_file=tmp_path / "fast.partial")
    assert found.milliseconds is not None
    assert found.milliseconds.after is not None
    assert found.milliseconds.after <= 1.05 * 7.0
    assert found.speedup == pytest.approx(14.0 / found.milliseconds.after)
    monkeypatch.setattr(shrink_steps, "compared_ms", lambda *_: (14.0, 99.0))
    again = shrunk(tagger(), dev(), spec, texts={}, resume_file=tmp_path / "fast.partial")
    assert again.plan == found.plan, "other times on another day change nothing that was settled"


def test_a_speed_that_no_correction_reaches_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine takes 10 ms whatever is pruned."""
    monkeypatch.setattr(shrinking, "cached_latency", lambda model, **_: TABLE)
    for module in (shrink_steps, shrinking):
        monkeypatch.setattr(module, "compared_ms", lambda given, small, spec: (14.0, 10.0))
    asked = ShrinkSpec(speedup=2.0, max_loss=100, rounds=1, scored=4, repair="none", **SHAPE)
    found = shrunk(tagger(), dev(8), asked, texts={})
    assert not found.met
    assert found.missed == "2 times as fast: measured 1.40 times as fast (10 ms), so the speed gives way"


def test_both_models_are_timed() -> None:
    found = shrink(tagger(), dev(4), size=0.9, keep=["vocabulary"], max_loss=100, batch=1, length=8, repair="none")
    assert found.milliseconds is not None
    assert found.milliseconds.before > 0
    assert found.milliseconds.after is not None
    assert found.milliseconds.after > 0


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "too fast": (
        {"speedup": 8.0, "keep": "vocabulary"},
        "speedup = 8: without all its heads and neurons the model is 7 times as fast (batch 2, length 16); ask for less",
    ),
    "too fast for what may go": ({"speedup": 3.0, "keep": "neurons"}, "without all its heads the model is 1.4 times as fast"),
    "too short a time": ({"latency": "1.5ms"}, "latency = 1.5ms: without all its heads and neurons the model takes 2 ms"),
    "too small": (
        {"size": 0.01, "keep": "vocabulary"},
        "size = 0.01: without all its heads and neurons the model has 2.38 MB; ask for more, or give text to trim",
    ),
    "too small for its vocabulary": (
        {"size": 0.1, "keep": "heads,neurons", "texts": texts()},
        "size = 0.1: with all its heads and neurons the model has 3.78 MB; ask for more",
    ),
    "size without text": (
        {"size": 0.5},
        "no text of en, de, and a size needs it to trim the vocabulary; give --text en=FILE de=FILE",
    ),
    "text of one language": ({"size": 0.5, "texts": {"en": ["a"]}}, "no text of de, and its subwords would be lost"),
    "text that is not used": (
        {"size": 0.5, "keep": "vocabulary", "texts": {"en": ["a"]}},
        "keep = vocabulary: leaves all subwords, so text to trim by is not used",
    ),
    "another batch": ({"speedup": 2.0, "batch": 3}, "the latency table was measured with batch = 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_had_is_refused_in_one_line(case: str) -> None:
    asked, said = REFUSED[case]
    with pytest.raises(PolyheadError) as error:
        smaller(**asked)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


EARLY: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no word": ({}, {"en": ["a"], "de": [" "]}, "text of de: has no word"),
    "no word to learn from": ({"distil": 1.0, "keep": "vocabulary"}, {"en": ["a"], "de": [" "]}, "the text of de has no line"),
    "a size": ({"size": 0.01}, texts(), "size = 0.01: without all its heads and neurons"),
}


@pytest.mark.parametrize("case", EARLY)
def test_what_texts_and_sizes_lack_is_noticed_before_the_machine_is_measured(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrinking, "cached_latency", lambda *_, **__: pytest.fail("measured"))
    asked, given, said = EARLY[case]
    spec = ShrinkSpec(**{**SHAPE, "speedup": 2.0, "repair": "none", "scored": 4, **asked})
    with pytest.raises(SettingError, match=said):
        shrunk(tagger(), dev(8), spec, texts=given)


@pytest.mark.parametrize("repair", ["refit", "means"])
def test_a_model_that_cannot_be_repaired_is_refused_before_the_search(repair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = replace(tagger(), model=copy.deepcopy(tagger().model))
    attention_sites(own.model)[2].output.bias = None
    asked = {"speedup": 1.3, "max_loss": 100, "rounds": 1, "scored": 4, **SHAPE}
    with monkeypatch.context() as patch:
        patch.setattr(shrinking, "cached_latency", None)
        with pytest.raises(ArchitectureError) as error:
            shrunk(own, dev(8), ShrinkSpec(**asked, repair=repair), texts={})
    assert f"repair {repair}: layer 2: the output projection has no bias to repair" in str(error.value)
    assert str(error.value).endswith("with repair none it can be shrunk")
    assert shrunk(own, dev(8), ShrinkSpec(**asked, repair="none"), texts={}, table=TABLE, measure=False).met


def test_dev_text_is_one_set_for_every_language() -> None:
    one, other = dev()
    tested = open_corpus("phrases/de", "test")
    for given, languages, said in (
        ([one, tested], (), "phrases/de: is a test split, and plans are chosen on dev"),
        ([one, replace(other, sentences=other.sentences[:1])], (), "phrases/de: 1 sentence; plans are chosen on one half"),
        ([], (), "no dev text"),
        ([one, one], (), "phrases/en is of en too; give one for each language"),
        ([one, other], ("en", "fr"), "no labelled dev text of fr; give fr=FILE, or leave it out; dev text is in en, de"),
        ([one, other], ("en",), "phrases/de: dev text of de, which --languages does not name"),
    ):
        spec = ShrinkSpec(speedup=2.0, **SHAPE)
        with pytest.raises(SettingError, match=said):
            shrunk(tagger(), given, spec, languages=languages, texts={}, table=TABLE, measure=False)


def test_a_model_with_masks_and_a_masked_language_model_are_refused() -> None:
    spec = ShrinkSpec(speedup=2.0, **SHAPE)
    own = tagger()
    masked = replace(own, model=prune(copy.deepcopy(own.model), {"de": HeadMask.without(4, 8, [HeadId(0, 0)])}))
    with pytest.raises(SettingError, match="has masks for de, and a smaller model has one plan"):
        shrunk(masked, dev(), spec, texts={}, table=TABLE, measure=False)
    lines = replace(own, task=replace(own.task, name="mlm", kind="masked"))
    with pytest.raises(SettingError, match="task mlm: its output head is tied to the vocabulary"):
        shrunk(lines, dev(), spec, texts={}, table=TABLE, measure=False)
