"""Learnt gates: the distribution they are drawn from, the constraint, the best set of heads, and work that was stopped."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import MASKS, PAD, VOCABULARY, tiny_model
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.heads import HeadId, HeadMask, HeadScores
from polyhead.core.progress import Progress, Silent
from polyhead.importance.gate_pass import gate_gradients
from polyhead.importance.l0 import hard_concrete, probability_open
from polyhead.importance.methods import score_heads
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.learning.encoded import Encoded, EncodingCounts, Window
from polyhead.learning.losses import sentence_losses
from polyhead.models.gates import gated
from polyhead.models.model_heads import full_mask
from polyhead.models.pruning import prune
from polyhead.selection.ranking import rank


def l0(
    model: PreTrainedModel,
    batches: list[Batch],
    *,
    seed: int,
    precision: Any,
    progress: Progress | None = None,
    resume_file: Path | None = None,
    **options: Any,
) -> HeadScores:
    return score_heads(
        "l0", model, batches, seed=seed, precision=precision, progress=progress, resume_file=resume_file, options=options
    )


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return tiny_model("bert", dtype=torch.float64)


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    return scoring_batches(tiny_encoded(), budget=40)


def test_gates_are_open_as_often_as_is_said_and_their_slope_is_that_of_the_draw() -> None:
    log_alpha = np.array([-3.0, -0.5, 1.0])
    noise = np.random.default_rng(0).logistic(size=(200_000, 3))
    gates, slope = hard_concrete(log_alpha, noise)
    assert (gates.min(), gates.max()) == (0, 1)
    # Louizos et al. 2018, equation 12, with temperature 1/3 and stretch (−0.1, 1.1)
    said = probability_open(log_alpha)
    np.testing.assert_allclose(said, 1 / (1 + np.exp(-(log_alpha - np.log(0.1 / 1.1) / 3))), rtol=1e-12)
    np.testing.assert_allclose((gates > 0).mean(0), said, atol=0.005)
    step = 1e-6
    moved, _ = hard_concrete(log_alpha + step, noise)
    inside = (gates > 0) & (gates < 1) & (moved > 0) & (moved < 1)
    np.testing.assert_allclose(slope[inside], ((moved - gates) / step)[inside], rtol=1e-3, atol=1e-6)
    assert (slope[(gates == 0) | (gates == 1)] == 0).all()


@pytest.mark.parametrize(("n_lowest", "n_open"), [(1, 11), (5, 7), (11, 1), (12, 1), (1000, 1)])
def test_k_heads_are_expected_shut(model: PreTrainedModel, batches: list[Batch], n_lowest: int, n_open: int) -> None:
    found = l0(model, batches, seed=0, n_lowest=n_lowest, epochs=3, precision="fp32")
    assert found.values.sum() == pytest.approx(n_open, abs=1e-9)
    assert ((found.values > 0) & (found.values < 1)).all()
    assert found.values.std() > 0.01
    assert (found.n, found.total, found.signed) == (6, None, None)
    assert found.settings["n_lowest"] == 12 - n_open


def test_only_heads_that_are_there_count(batches: list[Batch]) -> None:
    cut = prune(tiny_model("bert"), MASKS["uneven"])
    found = l0(cut, batches, seed=0, n_lowest=3, epochs=2, precision="fp32").values
    assert (np.isnan(found) == ~MASKS["uneven"].keep).all()
    assert np.nansum(found) == pytest.approx(7 - 3)
    last = prune(tiny_model("bert"), HeadMask([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]))
    assert np.nansum(l0(last, batches, seed=0, epochs=2, precision="fp32").values) == pytest.approx(0.5)


def own_labels(model: PreTrainedModel, n: int) -> list[Batch]:
    """Batches of random sentences, labelled with what the model itself says."""
    random, windows = np.random.default_rng(0), []
    for sentence in range(n):
        ids = random.integers(PAD + 1, VOCABULARY, size=random.integers(5, 16), dtype=np.int32)
        with torch.no_grad():
            said = model(input_ids=torch.from_numpy(ids.astype(np.int64))[None]).logits[0].argmax(-1).numpy().astype(np.int32)
        anchors = np.arange(1, len(ids) - 1, dtype=np.int32)
        windows.append(Window(sentence, ids, anchors, anchors - 1, said[anchors]))
    words = tuple(len(window.input_ids) - 2 for window in windows)
    return scoring_batches(Encoded(tuple(windows), words, EncodingCounts(), PAD), budget=150)


def mean_loss(model: PreTrainedModel, batches: list[Batch], heads: tuple[HeadId, ...]) -> float:
    with torch.no_grad(), gated(model, HeadMask.without(2, 3, heads)):
        return float(torch.cat([sentence_losses(model, batch, "fp32")[0] for batch in batches]).mean())


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_the_set_of_heads_that_it_shuts_is_the_best_one(family: str) -> None:
    # of this seed's sets of two heads one is clearly the best; gradients, which see heads one by one, choose another
    model = tiny_model(family, layers=2, heads=3, seed=1)
    batches = own_labels(model, 40)
    losses = {heads: mean_loss(model, batches, heads) for heads in combinations(full_mask(model).kept, 2)}
    best = min(losses, key=losses.__getitem__)
    for seed in range(2):
        assert set(rank(l0(model, batches, seed=seed, n_lowest=2, precision="fp32").values)[:2]) == set(best)
    assert set(rank(score_heads("gradient", model, batches, precision="fp32").values)[:2]) != set(best)


def test_a_seed_settles_everything_and_the_global_generators_nothing(model: PreTrainedModel, batches: list[Batch]) -> None:
    def found(seed: int, given: list[Batch]) -> list[list[float]]:
        torch.manual_seed(seed + 100)
        before = torch.get_rng_state()
        values = l0(model, given, seed=seed, n_lowest=4, epochs=2, precision="fp32").values.tolist()
        assert torch.equal(torch.get_rng_state(), before)
        return values

    assert found(3, batches) == found(3, batches)
    assert found(3, batches[:1]) != found(4, batches[:1])  # the noise, not only the order of batches


def test_every_sentence_draws_gates_of_its_own(batches: list[Batch], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []

    def watched(model: PreTrainedModel, batch: Batch, gates: torch.Tensor, precision: str) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(gates)
        return gate_gradients(model, batch, gates, precision)  # type: ignore[arg-type]

    monkeypatch.setattr("polyhead.importance.gate_learning.gate_gradients", watched)
    cut = prune(tiny_model("bert"), MASKS["uneven"])
    l0(cut, batches, seed=0, n_lowest=4, epochs=2, precision="fp32")
    assert sorted(len(gates) for gates in seen) == sorted(2 * [len(batch.sentences) for batch in batches])
    every = torch.cat(seen)
    assert len(every.unique(dim=0)) == len(every)
    assert (every[:, ~torch.from_numpy(MASKS["uneven"].keep.copy())] == 1).all()


class Watch(Silent):
    """Counts steps, and stops the work after some."""

    def __init__(self, stop_at: int | None = None) -> None:
        self.told: list[int] = []
        self._stop_at = stop_at

    def advance(self, n: int) -> None:
        self.told.append(n)
        if sum(self.told) == self._stop_at:
            raise KeyboardInterrupt


@pytest.mark.parametrize("stop_at", [1, 3, 5])
def test_stopped_work_continues_to_the_same_numbers(
    model: PreTrainedModel, batches: list[Batch], tmp_path: Path, stop_at: int
) -> None:
    keep, settings = tmp_path / "scores.partial", {"seed": 7, "n_lowest": 4, "epochs": 3}
    whole = l0(model, batches, precision="fp32", **settings)  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        l0(model, batches, precision="fp32", resume_file=keep, progress=Watch(stop_at), **settings)  # type: ignore[arg-type]
    assert keep.exists()
    watch = Watch()
    resumed = l0(model, batches, precision="fp32", resume_file=keep, progress=watch, **settings)  # type: ignore[arg-type]
    assert watch.told == [stop_at] + [1] * (3 * len(batches) - stop_at)
    assert resumed.values.tobytes() == whole.values.tobytes()
    assert resumed.settings == whole.settings
    assert keep.exists(), "left for the caller, so that a result that cannot be written is not lost"
    again = l0(model, batches, precision="fp32", resume_file=keep, **settings)  # type: ignore[arg-type]
    assert again.values.tobytes() == whole.values.tobytes()


def test_work_of_another_setting_is_neither_taken_up_nor_lost(
    model: PreTrainedModel, batches: list[Batch], tmp_path: Path
) -> None:
    keep = tmp_path / "scores.partial"
    with pytest.raises(KeyboardInterrupt):
        l0(model, batches, seed=1, epochs=2, precision="fp32", resume_file=keep, progress=Watch(2))
    kept = keep.read_bytes()
    with pytest.raises(StoreError, match=r"belongs to other work \(seed was \d+, is \d+\);"):
        l0(model, batches, seed=2, epochs=2, precision="fp32", resume_file=keep)
    assert keep.read_bytes() == kept


def test_bf16_runs_and_is_noted(batches: list[Batch]) -> None:
    model = tiny_model("bert")
    one, other = (l0(model, batches, seed=0, n_lowest=4, epochs=3, precision=precision) for precision in ("fp32", "bf16"))
    assert (one.settings["precision"], other.settings["precision"]) == ("fp32", "bf16")
    assert not np.array_equal(one.values, other.values)
    assert np.corrcoef(one.values.ravel(), other.values.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("name", ["n_lowest", "epochs"])
def test_options_out_of_range_are_refused(model: PreTrainedModel, batches: list[Batch], name: str) -> None:
    with pytest.raises(SettingError, match=f"option {name} = 0: should be at least 1"):
        l0(model, batches, seed=0, precision="fp32", **{name: 0})
