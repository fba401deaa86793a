"""Learnt subsets: exactly so many heads, the relaxation, the best set, and work that was stopped."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from conformance.scoring_case import tiny_encoded
from conformance.tiny import MASKS, tiny_model
from importance.test_l0 import Watch, mean_loss, own_labels
from transformers import PreTrainedModel

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.heads import HeadMask
from polyhead.importance.gate_pass import gate_gradients
from polyhead.importance.methods import score_heads
from polyhead.importance.subset import hard_top_k, relaxed_top_k, straight_through
from polyhead.learning.batching import Batch, scoring_batches
from polyhead.models.model_heads import full_mask
from polyhead.models.pruning import prune
from polyhead.selection.ranking import rank


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    return tiny_model("bert", dtype=torch.float64)


@pytest.fixture(scope="module")
def batches() -> list[Batch]:
    return scoring_batches(tiny_encoded(), budget=40)


@pytest.mark.parametrize("size", [1, 3, 5, 6])
def test_relaxed_gates_add_up_to_the_size_and_become_the_hard_ones(size: int) -> None:
    noisy = np.random.default_rng(0).gumbel(size=(4, 6))
    hard = hard_top_k(noisy, size)
    assert (hard.sum(axis=1) == size).all()
    for row, gates in zip(noisy, hard, strict=True):
        assert set(np.flatnonzero(gates)) == set(np.argsort(row)[6 - size :])
    for temperature in (1000.0, 1.0, 0.1):
        found = relaxed_top_k(torch.from_numpy(noisy), size, temperature).numpy()
        np.testing.assert_allclose(found.sum(axis=1), size)
    np.testing.assert_allclose(relaxed_top_k(torch.from_numpy(noisy), size, 1e-4).numpy(), hard, atol=1e-6)
    np.testing.assert_allclose(relaxed_top_k(torch.from_numpy(noisy), size, 1e6).numpy(), size / 6, atol=1e-4)


def test_the_gradient_is_that_of_the_relaxed_gates() -> None:
    random, step = np.random.default_rng(1), 1e-6
    noisy, gradients = random.gumbel(size=(3, 5)), random.normal(size=(3, 5))
    found = straight_through(noisy, 2, 0.7, gradients)
    for head in range(5):
        moved = noisy + step * (np.arange(5) == head)
        change = (relaxed_top_k(torch.from_numpy(own), 2, 0.7).numpy() for own in (moved, noisy))
        after, before = change
        assert found[head] == pytest.approx(((after - before) * gradients).sum() / step, rel=1e-4)


@pytest.mark.parametrize(("n_lowest", "n_left_out"), [(1, 1), (5, 5), (12, 11), (1000, 11)])
def test_exactly_k_heads_are_left_out(model: PreTrainedModel, batches: list[Batch], n_lowest: int, n_left_out: int) -> None:
    found = score_heads("subset", model, batches, seed=0, precision="fp32", options={"n_lowest": n_lowest, "epochs": 3})
    assert ((found.values < 0).sum(), (found.values > 0).sum()) == (n_left_out, 12 - n_left_out)
    assert (found.n, found.total, found.signed) == (6, None, None)
    assert (found.settings["n_lowest"], found.forward_passes, found.backward_passes) == (n_left_out, 3, 3)


def test_only_heads_that_are_there_are_chosen_from(batches: list[Batch]) -> None:
    pruned = prune(tiny_model("bert"), MASKS["uneven"])
    found = score_heads("subset", pruned, batches, seed=0, precision="fp32", options={"n_lowest": 3, "epochs": 2}).values
    assert (np.isnan(found) == ~MASKS["uneven"].keep).all()
    assert (found < 0).sum() == 3
    last = prune(tiny_model("bert"), HeadMask([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]))
    assert np.nansum(score_heads("subset", last, batches, precision="fp32", options={"epochs": 2}).values) == 0


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_the_set_of_heads_that_it_leaves_out_is_the_best_one(family: str) -> None:
    # of this seed's sets of two heads one is clearly the best; gradients, which see heads one by one, choose another
    model = tiny_model(family, layers=2, heads=3, seed=1)
    own = own_labels(model, 40)
    losses = {heads: mean_loss(model, own, heads) for heads in combinations(full_mask(model).kept, 2)}
    best = min(losses, key=losses.__getitem__)
    for seed in range(2):
        found = score_heads("subset", model, own, seed=seed, precision="fp32", options={"n_lowest": 2}).values
        assert set(rank(found)[:2]) == set(best)
    assert set(rank(score_heads("gradient", model, own, precision="fp32").values)[:2]) != set(best)


def test_every_sentence_is_read_with_a_subset_of_its_own(batches: list[Batch], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []

    def watched(model: PreTrainedModel, batch: Batch, gates: torch.Tensor, precision: str) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(gates)
        return gate_gradients(model, batch, gates, precision)  # type: ignore[arg-type]

    monkeypatch.setattr("polyhead.importance.gate_learning.gate_gradients", watched)
    pruned = prune(tiny_model("bert"), MASKS["uneven"])
    score_heads("subset", pruned, batches, seed=0, precision="fp32", options={"n_lowest": 4, "epochs": 4})
    every = torch.cat(seen)
    assert len(every) == 4 * sum(len(batch.sentences) for batch in batches)
    assert (every[:, torch.from_numpy(MASKS["uneven"].keep.copy())].sum(dim=1) == 7 - 4).all()
    assert ((every == 0) | (every == 1)).all()
    assert any(len(gates.unique(dim=0)) > 1 for gates in seen)


def test_a_seed_settles_everything_and_the_global_generators_nothing(model: PreTrainedModel, batches: list[Batch]) -> None:
    def found(seed: int) -> list[list[float]]:
        torch.manual_seed(seed + 100)
        before = torch.get_rng_state()
        options = {"n_lowest": 4, "epochs": 2}
        values = score_heads("subset", model, batches[:1], seed=seed, precision="fp32", options=options).values.tolist()
        assert torch.equal(torch.get_rng_state(), before)
        return list(values)

    assert found(3) == found(3)
    assert found(3) != found(4)


@pytest.mark.parametrize("stop_at", [1, 5])
def test_stopped_work_continues_to_the_same_numbers(
    model: PreTrainedModel, batches: list[Batch], tmp_path: Path, stop_at: int
) -> None:
    keep, options = tmp_path / "scores.partial", {"n_lowest": 4, "epochs": 3}
    whole = score_heads("subset", model, batches, seed=7, precision="fp32", options=options)
    with pytest.raises(KeyboardInterrupt):
        score_heads(
            "subset", model, batches, seed=7, precision="fp32", options=options, resume_file=keep, progress=Watch(stop_at)
        )
    watch = Watch()
    resumed = score_heads("subset", model, batches, seed=7, precision="fp32", options=options, resume_file=keep, progress=watch)
    assert watch.told == [stop_at] + [1] * (3 * len(batches) - stop_at)
    assert resumed.values.tobytes() == whole.values.tobytes()
    with pytest.raises(StoreError, match="belongs to other work"):
        score_heads("subset", model, batches, seed=7, precision="fp32", options={"n_lowest": 5, "epochs": 3}, resume_file=keep)


@pytest.mark.parametrize("name", ["n_lowest", "epochs"])
def test_options_out_of_range_are_refused(model: PreTrainedModel, batches: list[Batch], name: str) -> None:
    with pytest.raises(SettingError, match=f"method subset, option {name} = 0: should be at least 1"):
        score_heads("subset", model, batches, precision="fp32", options={name: 0})
