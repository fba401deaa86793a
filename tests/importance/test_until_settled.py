"""Reading until the lowest heads are settled: stops early where that is easy, reads everything where it is not."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conformance.scoring_case import PLANTED, planted_model, random_encoded, tiny_encoded
from conformance.tiny import tiny_model

from polyhead.core.errors import SettingError, StoreError
from polyhead.core.heads import HeadMask
from polyhead.core.progress import Silent
from polyhead.importance.methods import score_heads
from polyhead.importance.until_settled import score_until_settled
from polyhead.learning.batching import scoring_batches
from polyhead.models.pruning import prune

ENCODED = random_encoded(400)
gradient = partial(score_until_settled, "gradient", precision="fp32")


def test_easy_data_are_read_in_part() -> None:
    """One head of twelve matters, so the other eleven are known at once."""
    model = planted_model("bert")
    found = gradient(model, ENCODED, n_lowest=11)
    whole = score_heads("gradient", model, scoring_batches(ENCODED), precision="fp32")
    assert found.n == found.settings["sentences_read"] < 160
    assert found.forward_passes == found.backward_passes < 0.3
    assert found.values.argmax() == PLANTED.layer * 4 + PLANTED.head
    assert found.values.max() == pytest.approx(whole.values.max(), rel=0.3)
    assert found.signed is not None
    assert found.signed.shape == (3, 4)
    assert found.settings["until_settled"] == 11
    assert found.settings["differ_at_most"] == 0
    assert found == gradient(model, ENCODED, n_lowest=11)
    assert found.n != gradient(model, ENCODED, n_lowest=11, seed=3).n or found != gradient(model, ENCODED, n_lowest=11, seed=3)


def test_hard_data_are_read_in_full_with_the_numbers_of_the_full_pass() -> None:
    model = tiny_model("bert", dtype=torch.float64)
    whole = score_heads("gradient", model, scoring_batches(ENCODED), precision="fp32")
    ordered = np.sort(whole.values.ravel())
    border = 1 + int((ordered[1:] / ordered[:-1]).argmin())
    assert ordered[border] / ordered[border - 1] < 1.02
    found = gradient(model, ENCODED, n_lowest=border, may_differ=0, near_tie=0)
    assert found.n == whole.n == 400
    assert found.settings["differ_at_most"] == 0
    assert whole.signed is not None
    assert found.signed is not None
    np.testing.assert_allclose(found.values, whole.values, rtol=1e-12)
    np.testing.assert_allclose(found.signed, whole.signed, rtol=1e-9, atol=1e-15)
    assert found.forward_passes == pytest.approx(1, abs=0.15)
    assert gradient(model, ENCODED, n_lowest=border, may_differ=0, near_tie=0.9).n < 400, "near ties are left aside"


def test_more_may_differ_and_less_is_read() -> None:
    model = tiny_model("bert")
    read = [gradient(model, ENCODED, n_lowest=6, may_differ=share, near_tie=0).n for share in (0.0, 0.2, 0.5)]
    assert read == sorted(read, reverse=True)
    assert read[0] > read[-1]


def test_pruned_heads_stay_nan_and_texts_too_short_to_stop_are_read_in_full() -> None:
    mask = HeadMask.without(3, 4, [PLANTED])
    model = prune(tiny_model("bert", dtype=torch.float64), mask)
    found = gradient(model, tiny_encoded(), n_lowest=4)
    np.testing.assert_array_equal(np.isnan(found.values), ~mask.keep)
    assert found.n == 6, "one of the seven has no label"
    expected = score_heads("gradient", model, scoring_batches(tiny_encoded()), precision="fp32").values
    np.testing.assert_allclose(found.values, expected, rtol=1e-12)


class StopsAtStart(Silent):
    """Stops when the n-th pass begins, and counts passes."""

    def __init__(self, n: int = 99) -> None:
        self.n, self.passes = n, 0

    def start(self, total: int, what: str) -> None:
        self.passes += 1
        if self.passes == self.n:
            raise KeyboardInterrupt


def test_a_stopped_ranking_continues_with_the_same_numbers(tmp_path: Path) -> None:
    model, keep, counts = tiny_model("bert"), tmp_path / "partial", StopsAtStart()
    ordered = np.sort(score_heads("gradient", model, scoring_batches(ENCODED), precision="fp32").values.ravel())
    hardest = 1 + int((ordered[1:] / ordered[:-1]).argmin())
    run = partial(gradient, model, ENCODED, n_lowest=hardest, may_differ=0, near_tie=0)
    expected = run(progress=counts)
    assert counts.passes > 3
    with pytest.raises(KeyboardInterrupt):
        run(progress=StopsAtStart(3), resume_file=keep)
    rest = StopsAtStart()
    assert run(progress=rest, resume_file=keep) == expected
    assert rest.passes == counts.passes - 2
    assert run(resume_file=keep) == expected
    with pytest.raises(StoreError, match="other work"):
        gradient(model, ENCODED, n_lowest=hardest, seed=1, resume_file=keep)


@pytest.mark.parametrize(
    ("method", "changed", "said"),
    [
        ("shapley", {}, "shapley: its score is not a mean over sentences"),
        ("gradient", {"n_lowest": 12}, "until settled 12: expected 1 to 11"),
        ("gradient", {"n_lowest": 0}, "until settled 0"),
        ("gradient", {"may_differ": 1.0}, "may_differ = 1"),
        ("gradient", {"near_tie": -0.1}, "near_tie = -0.1"),
        ("gradient", {"seed": -1}, "seed -1"),
    ],
)
def test_it_refuses(method: str, changed: dict[str, float], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        score_until_settled(method, tiny_model("bert"), ENCODED, **{"n_lowest": 4, **changed})  # type: ignore[arg-type]
