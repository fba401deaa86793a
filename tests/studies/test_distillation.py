"""Distillation of a shrunk tagger: steps fixed before they start, no labels, the same numbers after a stop, and bad input."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from studies.shrink_case import SHAPE, dev, made_up_table, tagger, texts
from watch import Watch, interrupt

from polyhead.compression.plan_repair import pruned_to
from polyhead.core.errors import SettingError, StoreError
from polyhead.core.heads import HeadMask
from polyhead.core.neurons import NeuronMask, Plan
from polyhead.data.sampling import sample
from polyhead.learning.resumable import make_replaceable
from polyhead.models.model_heads import full_mask
from polyhead.models.model_neurons import full_neurons
from polyhead.studies import distillation, shrink_judging
from polyhead.studies.distillation import Distilled, distil_tagger, state_files
from polyhead.studies.shrink_spec import ShrinkSpec
from polyhead.studies.shrink_state import kept_files
from polyhead.studies.shrinking import shrunk
from polyhead.studies.shrunk import Shrunk
from polyhead.studies.tagger import Tagger


def half() -> Tagger:
    model = tagger().model
    heads, neurons = full_mask(model).keep.copy(), full_neurons(model).keep.copy()
    heads[:, ::2], neurons[:, ::2] = False, False
    return replace(tagger(), model=pruned_to(model, Plan(HeadMask(heads), NeuronMask(neurons)), [], how="none"))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which the eight steps that are timed take eight seconds."""
    ticks = iter(range(10**6))
    monkeypatch.setattr(distillation, "_clock", lambda own: 8.0 * next(ticks))


def taught(small: Tagger, *, minutes: float = 0.3, **options: Any) -> Distilled:
    lines = {language: own[:40] for language, own in texts().items()}
    return distil_tagger(small, tagger(), lines, minutes=minutes, seed=1, **options)


def test_the_budget_becomes_steps_and_the_model_comes_nearer_to_its_teacher() -> None:
    small, before = half(), copy.deepcopy(tagger().model.state_dict())
    data = [tagger().encode(own) for own in dev()]

    def agreement(model: Tagger) -> int:
        wanted = [label for own in data for tags in tagger().evaluate(own_of(own)).predicted for label in tags]
        found = [label for own in data for tags in model.evaluate(own_of(own)).predicted for label in tags]
        return sum(a == b for a, b in zip(wanted, found, strict=True))

    def own_of(own: Any) -> Any:
        return dev()[data.index(own)]

    apart = agreement(small)
    embeddings = small.model.get_input_embeddings().weight.detach().clone()
    found = taught(small, minutes=0.5)
    assert found.steps == 22  # 30 seconds less the 8 of measuring, one second a step
    assert found.batch_size == 16
    assert found.learning_rate == pytest.approx(distillation.RATE_SHARE * 3e-4)
    assert agreement(small) > apart
    assert torch.equal(small.model.get_input_embeddings().weight, embeddings)
    assert all(torch.equal(value, before[name]) for name, value in tagger().model.state_dict().items())


def test_a_stopped_distillation_ends_with_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("polyhead.learning.training_state.TrainingState.is_due", lambda self: True)
    whole, part, file = half(), half(), tmp_path / "small.partial"
    assert taught(whole).steps == 10

    stop = Watch(8 + 4, interrupt)  # the eight that are timed come first
    with pytest.raises(KeyboardInterrupt):
        taught(part, resume_file=file, progress=stop)
    assert all(path.is_file() for path in state_files(file))
    monkeypatch.setattr(distillation, "_clock", lambda own: 0.0)  # another speed changes nothing now
    again = half()
    assert taught(again, resume_file=file).steps == 10
    assert all(torch.equal(value, whole.model.state_dict()[name]) for name, value in again.model.state_dict().items())
    with pytest.raises(StoreError, match=r"minutes was 0\.3, is 0\.4"):
        taught(half(), minutes=0.4, resume_file=file)


def asked(**more: Any) -> ShrinkSpec:
    return ShrinkSpec(**{**SHAPE, "max_loss": 100.0, "rounds": 1, "scored": 8, "speedup": 2.0, "distil": 0.3, **more})


def test_shrinking_distils_the_plan_that_was_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("polyhead.studies.shrinking.compared_ms", lambda *_: (14.0, 7.0))
    lines = {language: iter(own[:40]) for language, own in texts().items()}  # read once
    file = tmp_path / "small.partial"
    spec = asked(keep=["vocabulary"])
    found = shrunk(tagger(), dev(), spec, texts=lines, table=made_up_table(), measure=True, resume_file=file)
    assert found.distilled is not None
    assert found.distilled.steps == 10
    plain = shrunk(tagger(), dev(), replace(spec, distil=0.0), texts={}, table=made_up_table(), measure=False)
    assert plain.plan == found.plan
    assert plain.distilled is None
    assert any(own.after != other.after for own, other in zip(plain.losses, found.losses, strict=True))
    assert found.subwords.after == found.subwords.before


def test_what_was_distilled_is_kept_for_the_same_work_and_replaced_by_other_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("polyhead.studies.shrinking.compared_ms", lambda *_: (14.0, 7.0))
    lines = {language: own[:40] for language, own in texts().items()}
    file, real, trained = tmp_path / "small.partial", distillation.fit, []

    def counted(*given: Any, **named: Any) -> Any:
        found = real(*given, **named)
        trained.append(found.steps - found.resumed_at)
        return found

    monkeypatch.setattr(distillation, "fit", counted)

    def small(**more: Any) -> Shrunk:
        spec = asked(keep=["vocabulary"], repair="none", **more)
        return shrunk(tagger(), dev(), spec, texts=lines, table=made_up_table(), resume_file=file)

    first = small()
    assert trained == [8, 10]
    with monkeypatch.context() as patch:
        patch.setattr(shrink_judging, "evaluate", lambda *_, **__: pytest.fail("judged again"))
        again = small(max_loss=50.0)
    assert trained == [8, 10, 0]
    assert again.losses == first.losses
    state = first.tagger.model.state_dict()
    assert all(torch.equal(own, state[name]) for name, own in again.tagger.model.state_dict().items())
    with pytest.raises(StoreError, match="belongs to other work"):
        small(distil=0.4)
    assert all(path.exists() for path in kept_files(file))
    for path in kept_files(file):
        make_replaceable(path)
    assert small(distil=0.4).distilled is not None
    assert trained[3:] == [8, 16]


def test_lines_of_any_kind_serve() -> None:
    lines = {"en": ["a b c", ["d", "e"], *sample(dev()[0], 2, seed=1), " "], "de": ["x"]}
    encoded = distillation._encoded(tagger(), {name: [own for own in found if own != " "] for name, found in lines.items()}, 9, 0)
    assert encoded.n_sentences == 9
    assert all((window.label_ids == -100).all() for window in encoded.windows)


def test_bad_input() -> None:
    with pytest.raises(SettingError, match=r"distil = 0\.3: no text of de to learn from; give --text de=FILE"):
        shrunk(tagger(), dev(), asked(), texts={"en": ["a"]}, table=made_up_table(), measure=False)
    with pytest.raises(SettingError, match="the text of de has no line with a word"):
        distil_tagger(half(), tagger(), {"en": ["a"], "de": [" "]}, minutes=1, seed=0)
    with pytest.raises(SettingError, match="distil"):
        asked(distil=-1.0)
