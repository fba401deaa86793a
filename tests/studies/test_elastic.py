"""One fine-tuning for every size: its plans, and what shrinking takes of the model without a search, training or repair."""

from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from studies.shrink_case import LANGUAGES, SHAPE, dev, made_up_table

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import Plan
from polyhead.core.specs import TrainSpec
from polyhead.data.corpora import open_corpus
from polyhead.data.sampling import sample
from polyhead.learning.teaching import Teacher
from polyhead.models.gates import gated
from polyhead.models.model_heads import full_mask, head_mask
from polyhead.models.model_neurons import full_neurons, neuron_mask
from polyhead.models.trained_plans import TrainedPlans
from polyhead.studies import plan_rounds, shrink_judging, shrink_steps
from polyhead.studies.elastic import elastic_plans
from polyhead.studies.elastic_spec import ElasticSpec
from polyhead.studies.shrink_spec import ShrinkSpec
from polyhead.studies.shrink_work import dev_halves
from polyhead.studies.shrinking import shrunk
from polyhead.studies.shrunk import Shrunk
from polyhead.studies.tagger import Tagger

TABLE = made_up_table()
SPEC = ElasticSpec(speedup=3.0, rounds=2, per_round=3, scored=8, **SHAPE)
TRAIN = TrainSpec(epochs=1)


def ordinary() -> Tagger:
    return Tagger.load("polyhead/tiny", task="pos", seed=42, device="cpu", precision="fp32")


@cache
def plans() -> TrainedPlans:
    return elastic_plans(ordinary(), dev(), SPEC, table=TABLE)


@cache
def elastic() -> Tagger:
    """Fine-tuned for a moment under the plans; do not change it."""
    found = ordinary()
    found.fit(sample(open_corpus("phrases/en", "train"), 96, seed=1), spec=TRAIN, nested=plans(), teacher=Teacher(0.5))
    return found


def smaller(tagger: Tagger | None = None, *, table: Any = TABLE, measure: bool = False, **asked: Any) -> Shrunk:
    spec = ShrinkSpec(**{**SHAPE, "max_loss": 100.0, "scored": 8, **asked})
    return shrunk(tagger or elastic(), dev(), spec, texts={}, table=table, measure=measure)


def test_plans_lead_from_the_whole_model_to_the_speed_asked_for_in_small_steps() -> None:
    found = plans().plans
    full = Plan(full_mask(ordinary().model), full_neurons(ordinary().model))
    assert found[0] == full
    times = [TABLE.predict(own.counts) for own in found]
    assert times[-1] <= times[0] / 3
    assert all(later < before for before, later in pairwise(times))
    assert len(found) <= SPEC.n_plans
    assert max(before / later for before, later in pairwise(times)) < 1.6
    for less, more in pairwise(found):
        assert not (more.heads.keep & ~less.heads.keep).any()
        assert not (more.neurons.keep & ~less.neurons.keep).any()


def test_one_set_of_scores_serves_several_plans_and_a_stopped_search_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls, file, stop_at = plan_rounds.score_plan, [], tmp_path / "plans.partial", 0

    def counted(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == stop_at:
            raise KeyboardInterrupt
        return real(*given, **named)

    monkeypatch.setattr(plan_rounds, "score_plan", counted)
    whole = elastic_plans(ordinary(), dev(), SPEC, table=TABLE)
    assert whole == plans()
    assert len(calls) == SPEC.rounds * len(LANGUAGES)
    calls.clear()
    stop_at = len(LANGUAGES) + 1
    with pytest.raises(KeyboardInterrupt):
        elastic_plans(ordinary(), dev(), SPEC, table=TABLE, resume_file=file)
    calls.clear()
    stop_at = 0
    assert elastic_plans(ordinary(), dev(), SPEC, table=TABLE, resume_file=file) == whole
    assert len(calls) == len(LANGUAGES)
    with pytest.raises(StoreError, match="belongs to other work"):
        elastic_plans(ordinary(), dev(), replace(SPEC, speedup=2.0), table=TABLE, resume_file=file)


def test_data_sets_of_one_language_are_scored_together() -> None:
    twice = elastic_plans(ordinary(), [*dev(), *dev()], SPEC, table=TABLE)
    assert twice.plans[-1].counts == plans().plans[-1].counts


def test_a_plan_is_taken_without_scores_training_or_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_rounds, "score_plan", None)
    monkeypatch.setattr("polyhead.compression.plan_repair.refit", None)
    found = smaller(speedup=2.0)
    assert found.met
    assert found.trained
    assert found.plan in plans().plans
    assert found.speedup is not None
    assert found.speedup >= 2.0
    slower = plans().plans[plans().plans.index(found.plan) - 1]
    assert TABLE.predict(slower.counts) > 7.0
    assert head_mask(elastic().model).n_pruned == 0
    (data,) = [dev_halves(own, seed=42)[1] for own in dev() if own.language == "de"]
    with gated(elastic().model, found.plan.heads, neurons=found.plan.neurons):
        masked = elastic().evaluate(data)
    assert found.tagger.evaluate(data).predicted == masked.predicted
    assert {own.language: own.after for own in found.losses}["de"] == pytest.approx(100 * masked.metrics["accuracy"])


def test_what_is_shrunk_is_shrunk_further_after_saving(tmp_path: Path) -> None:
    once = smaller(speedup=1.5)
    once.tagger.save(tmp_path / "once")
    again = Tagger.load(tmp_path / "once")
    assert again.plans == plans()
    further = smaller(again, latency=6.0)
    assert further.trained
    assert further.plan == smaller(latency=6.0).plan
    assert further.plan != once.plan
    assert Plan(head_mask(further.tagger.model), neuron_mask(further.tagger.model)) == further.plan


def test_a_size_and_a_limit_of_loss_choose_among_the_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    sized = smaller(size=0.8, keep=["vocabulary"], table=None)
    assert sized.plan in plans().plans
    assert sized.megabytes.after is not None
    assert sized.megabytes.after <= 0.8 * sized.megabytes.before
    real, judged = shrink_judging.losses_of, []

    def worse(*given: Any) -> Any:
        judged.append(1)
        lost = 3.0 if len(judged) == 1 else 0.5  # only the plan that was asked for loses too much
        return tuple(replace(own, after=own.before - lost) for own in real(*given))

    monkeypatch.setattr(shrink_judging, "losses_of", worse)
    found = smaller(speedup=3.0, max_loss=1.0)
    assert not found.met
    assert "the speed gives way" in found.missed
    assert found.plan == plans().plans[-2]


def test_a_plan_measured_to_be_too_slow_gives_way_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def times(models: Any, **_: Any) -> list[float]:
        small = Plan(head_mask(models[1]), neuron_mask(models[1]))
        return [14.0, 1.3 * TABLE.predict(small.counts)]

    monkeypatch.setattr(shrink_steps, "time_models", times)
    monkeypatch.setattr("polyhead.studies.shrinking.cached_latency", lambda *_, **__: TABLE)
    found = smaller(speedup=1.5, table=None, measure=True)
    assert found.plan in plans().plans
    assert 1.3 * TABLE.predict(found.plan.counts) <= 1.05 * 14.0 / 1.5
    assert TABLE.predict(smaller(speedup=1.5).plan.counts) > TABLE.predict(found.plan.counts)


def test_where_heads_stay_a_search_decides() -> None:
    found = smaller(speedup=1.2, keep=["heads"], rounds=1)
    assert not found.trained
    assert found.plan.heads.n_pruned == 0


def test_ordinary_training_ends_the_promise_and_a_pruned_model_keeps_what_it_has() -> None:
    tagger = ordinary()
    tagger.fit(dev()[0], spec=TRAIN, nested=plans())
    assert tagger.nested == ()
    tagger.prune(HeadMask.without(4, 8, [plans().plans[1].heads.kept[0]]))
    found = smaller(tagger, speedup=2.0)
    assert found.trained
    assert found.plan.heads.keep.sum() < full_mask(tagger.model).n_kept
    tagger.fit(dev()[0], spec=TRAIN)
    assert tagger.plans is None
    assert not smaller(tagger, speedup=1.2, rounds=1).trained


def test_what_cannot_be_had_is_said() -> None:
    with pytest.raises(SettingError, match=r"speedup = 5: the smallest plan .* is 3\.\d+ times as fast .*--elastic --speedup 5"):
        smaller(speedup=5.0)
    with pytest.raises(SettingError, match=r"latency = 2.5: the smallest plan .* takes 4\.\d+ ms"):
        smaller(latency=2.5)
    with pytest.raises(SettingError, match="speedup = 40: without all its heads and neurons the model is 7 times as fast"):
        elastic_plans(ordinary(), dev(), replace(SPEC, speedup=40.0), table=TABLE)
    with pytest.raises(SettingError, match="no dev text to score heads and neurons on"):
        elastic_plans(ordinary(), [], SPEC, table=TABLE)
    with pytest.raises(SettingError, match="batch = 3: the latency table was measured with batch = 2"):
        elastic_plans(ordinary(), dev(), replace(SPEC, batch=3), table=TABLE)
    with pytest.raises(SettingError, match="speedup"):
        ElasticSpec(speedup=1.0)
